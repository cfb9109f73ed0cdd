"""When to try again: the arithmetic of retry policies. The same policy, attempt and key always give the same delay."""

from __future__ import annotations

from hashlib import blake2b

from redurable.core.values import Backoff, Retry

LONGEST_MS = 10 * 365 * 24 * 3600 * 1000
"""No delay is longer than ten years, however large the coefficient."""


def next_delay(policy: Retry, attempt: int, key: str) -> int | None:
    """Milliseconds to wait after `attempt` (1 is the first) failed; None when no attempt is left.

    Jitter spreads the delay evenly over `interval * (1 ± jitter)`. It is derived from `key` and `attempt`, so that a
    repeated calculation agrees with itself while different calls spread.
    """
    if attempt >= policy.max_attempts:
        return None
    delay = _interval(policy, attempt)
    if policy.jitter:
        delay *= 1 + policy.jitter * (2 * _unit(key, attempt) - 1)
    return max(0, min(round(delay), LONGEST_MS))


def is_retryable(error: BaseException, policy: Retry) -> bool:
    """False when the type of `error`, or a base of it, is named in `policy.non_retryable`, bare or qualified."""
    return not policy.non_retryable or names_of(type(error)).isdisjoint(policy.non_retryable)


def names_of(error: type[BaseException]) -> set[str]:
    """What `non_retryable` may call an error of this type: by that and the bases of it, bare and qualified."""
    return {name for kind in error.__mro__ for name in (kind.__name__, f"{kind.__module__}.{kind.__qualname__}")}


def _interval(policy: Retry, attempt: int) -> float:
    match policy.backoff:
        case Backoff.FIXED:
            interval = float(policy.initial_ms)
        case Backoff.LINEAR:
            interval = float(policy.initial_ms * attempt)
        case Backoff.EXPONENTIAL:
            interval = _exponential(policy, attempt)
    return min(interval, policy.max_interval_ms) if policy.max_interval_ms else interval


def _exponential(policy: Retry, attempt: int) -> float:
    try:
        return policy.initial_ms * policy.coefficient ** (attempt - 1)
    except OverflowError:
        return float(LONGEST_MS)


def _unit(key: str, attempt: int) -> float:
    digest = blake2b(f"{key}:{attempt}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
