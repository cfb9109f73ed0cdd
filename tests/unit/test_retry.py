"""Retry arithmetic: three back-offs, a cap, and jitter that repeats itself."""

from __future__ import annotations

import pytest

from redurable.core.retry import LONGEST_MS, is_retryable, next_delay
from redurable.core.values import Backoff, Retry


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (Retry(max_attempts=5, initial_ms=100), [100, 200, 400, 800, None]),
        (Retry(max_attempts=4, initial_ms=100, coefficient=3.0), [100, 300, 900, None]),
        (Retry(max_attempts=4, initial_ms=100, backoff=Backoff.LINEAR), [100, 200, 300, None]),
        (Retry(max_attempts=4, initial_ms=100, backoff=Backoff.FIXED), [100, 100, 100, None]),
        (Retry(max_attempts=5, initial_ms=100, max_interval_ms=250), [100, 200, 250, 250, None]),
        (Retry(max_attempts=1), [None, None]),
    ],
)
def test_delays(policy: Retry, delays: list[int | None]) -> None:
    assert [next_delay(policy, attempt, "key") for attempt in range(1, len(delays) + 1)] == delays


def test_jitter_is_bounded_repeatable_and_spreads() -> None:
    policy = Retry(max_attempts=2, initial_ms=1000, jitter=0.25)
    delays = [next_delay(policy, 1, f"key{n}") or 0 for n in range(500)]
    assert delays == [next_delay(policy, 1, f"key{n}") for n in range(500)]
    assert all(750 <= delay <= 1250 for delay in delays)
    assert min(delays) < 800
    assert max(delays) > 1200


def test_a_huge_exponent_is_capped() -> None:
    assert next_delay(Retry(max_attempts=10**9, coefficient=10.0), 10**6, "key") == LONGEST_MS


class Declined(ValueError):
    pass


@pytest.mark.parametrize(
    ("names", "retryable"),
    [
        ((), True),
        (("Declined",), False),
        (("ValueError",), False),
        (("builtins.ValueError",), False),
        ((f"{__name__}.Declined",), False),
        (("KeyError", "decline"), True),
    ],
)
def test_errors_are_matched_by_name_over_their_bases(names: tuple[str, ...], retryable: bool) -> None:
    assert is_retryable(Declined("no"), Retry(non_retryable=names)) is retryable
