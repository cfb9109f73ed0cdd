"""Whether the loops that ask for work go on: what a probe must know that wants to tell idle from stuck.

A loop that waits (for messages, for a partition, for a free slot) is well, however long that takes. One that is busy
says nothing until it comes back; when every loop of a kind is busy for long, work stands still here.
"""

from __future__ import annotations

import time


class Polls:
    """Per kind of loop: how many of them wait now, and when one last did (seconds of the monotonic clock)."""

    def __init__(self) -> None:
        self._waiting: dict[str, int] = {}
        self._last: dict[str, float] = {}

    def begin(self, kind: str) -> None:
        """A loop of this kind waits. `end` must follow."""
        self._waiting[kind] = self._waiting.get(kind, 0) + 1

    def end(self, kind: str) -> None:
        """It has something to do."""
        self._waiting[kind] -= 1
        self._last[kind] = time.monotonic()

    def silent_for(self, now: float) -> float:
        """For how many seconds all loops of some kind have been busy; of the worst kind. 0 before any began."""
        busy = (now - self._last[kind] for kind, waiting in self._waiting.items() if not waiting)
        return max(busy, default=0.0)
