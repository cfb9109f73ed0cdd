"""What the connections to a server do, for whoever wants to see it. There is none before somebody asks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from redis.exceptions import NoScriptError

from redurable.errors import StoreDamaged, StoreFull, StoreRefused, StoreUnavailable
from redurable.facts import StoreSampled
from redurable.store.redis.scripts import name_of

MOST_NOTED = 100_000
"""So many calls and errors are noted until somebody takes them; then the oldest are forgotten."""

_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (StoreDamaged, "damaged"),
    (StoreFull, "full"),
    (StoreRefused, "refused"),
    (StoreUnavailable, "unavailable"),
)


class Meter:
    """Calls, errors and new connections since the last `take`."""

    def __init__(self) -> None:
        self._calls: deque[tuple[str, float]] = deque(maxlen=MOST_NOTED)
        self._errors: deque[tuple[str, str]] = deque(maxlen=MOST_NOTED)
        self._lost = 0
        self._reconnects = 0

    @contextmanager
    def timing(self, command: Sequence[str | bytes | int]) -> Generator[None]:
        """Around one command, whatever comes of it."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._calls.append((_op(command), time.perf_counter() - begin))

    def note_error(self, command: Sequence[str | bytes | int], error: Exception, kind: str = "") -> None:
        """A command failed; `kind` says how, where the error itself does not. That the server does not know a script
        yet is no failure."""
        if isinstance(error, NoScriptError):
            return
        known = kind or next((word for found, word in _KINDS if isinstance(error, found)), "other")
        self._errors.append((_op(command), known))
        if isinstance(error, StoreUnavailable):
            self._lost += 1

    def connected(self) -> None:
        """There is a new connection; one for every lost one is a reconnect, the others are for more calls at once."""
        if self._lost:
            self._lost = 0
            self._reconnects += 1

    def take(self, idle: int, in_use: int) -> StoreSampled:
        """All of it, each once, and how many connections there are at this moment."""
        sample = StoreSampled(tuple(self._calls), tuple(self._errors), self._reconnects, idle, in_use)
        self._calls.clear()
        self._errors.clear()
        self._reconnects = 0
        return sample


def _op(command: Sequence[str | bytes | int]) -> str:
    """A script by its name, anything else by the command's."""
    word = str(command[0])
    if word.startswith("EVAL") and len(command) > 1:
        return name_of(str(command[1]))
    return word.lower()
