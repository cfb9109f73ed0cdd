"""Why a run ends with exit code 1."""

from __future__ import annotations


class BenchmarkFailed(Exception):
    """A result is wrong, a process ended, or the server is not the one that was asked for: the figures are void."""


def check(what: str, found: object, expected: object) -> None:
    """Raise `BenchmarkFailed` unless a workload returned what it must."""
    if found != expected:
        raise BenchmarkFailed(f"{what} returned {_shown(found)}, expected {_shown(expected)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
