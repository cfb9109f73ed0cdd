"""Every store against the suite of `redurable.testing.conformance`."""
