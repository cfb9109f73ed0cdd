"""Whether this worker takes on new work. Closing it interrupts every blocked read, and nothing else.

What such a read was about to hand out stays held in the store; the drain hands it back.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from anyio import CancelScope


class Reception:
    """Open until the worker drains."""

    def __init__(self) -> None:
        self.open = True
        self._reads: set[CancelScope] = set()

    @contextmanager
    def reading(self) -> Generator[None]:
        """Around a blocking read (or a rest before one): left early when the reception closes."""
        with CancelScope() as scope:
            self._reads.add(scope)
            if not self.open:
                scope.cancel()
            try:
                yield
            finally:
                self._reads.discard(scope)

    def close(self) -> None:
        """Take on nothing new."""
        self.open = False
        for scope in self._reads:
            scope.cancel()
