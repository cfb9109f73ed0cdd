"""The store's clock, as seen from here. Only the store's clock counts; between its answers it is extrapolated."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

import anyio
from anyio import CancelScope


class StoreClock:
    """Maps the store's milliseconds to this process' monotonic clock. Every answer that says `now` corrects it.

    The time limits of attempts are measured on it, too, so that a test can put another clock in its place.
    """

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        # A guess until the first answer; the worker asks before any role begins.
        self._offset = time.time() * 1000 - _monotonic()

    def sync(self, now: int) -> None:
        """The store has just answered that it is `now` (milliseconds of the Unix epoch)."""
        self._offset = now - _monotonic()

    def now(self) -> float:
        """The store's time in milliseconds: never ahead of it, and late by at most one answer's way."""
        return _monotonic() + self._offset

    def monotonic(self) -> float:
        """Seconds of a clock that only ever goes on, since whenever."""
        return time.monotonic()

    def move_on_after(self, seconds: float) -> AbstractContextManager[CancelScope]:
        """What waits inside is left after so many seconds."""
        return anyio.move_on_after(seconds)


def _monotonic() -> float:
    return time.monotonic() * 1000
