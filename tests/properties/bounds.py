"""How many examples a property is tried on, and with which seed: the run's, which every test run prints."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, seed, settings

from tests.conftest import SEED

THOROUGH: Final = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
FACTOR: Final = 20 if THOROUGH else 1

Test = TypeVar("Test", bound=Callable[..., Any])


def bounds(examples: int, **more: Any) -> settings:
    """Settings for so many examples, twenty times as many in the thorough profile. No deadlines: machines are busy."""
    return settings(
        max_examples=examples * FACTOR,
        deadline=None,
        derandomize=False,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        **more,
    )


def seeded(test: Test) -> Test:
    """Draw from the seed of the run."""
    return seed(int(os.environ[SEED]))(test)


def tried(examples: int) -> Callable[[Test], Test]:
    """Try a property on so many examples; goes above `given`."""
    return lambda test: bounds(examples)(seeded(test))
