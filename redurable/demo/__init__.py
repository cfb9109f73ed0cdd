"""The demonstration that `redurable demo` runs: an order, a worker killed in the middle of it, and nothing lost."""
