"""Every store against the suite of `redurable.testing.conformance`, and the stores against each other."""

import pytest

pytest.register_assert_rewrite("tests.conformance.pairs")
