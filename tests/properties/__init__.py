"""What must hold for every program, every order of events, every payload and every sequence of verbs.

`make test-properties` tries twenty times as much. A failure prints what to run to see it again.
"""

import pytest

pytest.register_assert_rewrite("tests.properties.pairs", "tests.properties.lives", "tests.properties.twins")
