"""The store's clock, as seen from here. Only the store's clock counts; between its answers it is extrapolated."""

from __future__ import annotations

import time


class StoreClock:
    """Maps the store's milliseconds to this process' monotonic clock. Every answer that says `now` corrects it."""

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


def _monotonic() -> float:
    return time.monotonic() * 1000
