"""What user code is waiting for: commands on their way into the history, and external events by name."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from types import CodeType
from typing import Any

from msgspec import Raw

from redurable.core.commands import Command
from redurable.core.loop import DurableHandle
from redurable.core.messages import KeptEvent

_ENGINE = (__file__.rpartition("core/")[0] + "core/", __file__.rpartition("core/")[0] + "authoring/")
_LIBRARIES = (asyncio.__file__.rpartition("/")[0] + "/", "/anyio/", "/contextlib.py")

_is_user_code: dict[CodeType, bool] = {}


class Awaited:
    """A future of user code and how to read the payload that settles it."""

    __slots__ = ("decode", "future", "name")

    def __init__(self, name: str, future: asyncio.Future[Any], decode: Callable[[Raw], Any]) -> None:
        self.name = name
        self.future = future
        self.decode = decode

    def succeed(self, payload: Raw, position: int) -> None:
        """Settle the future; a payload that does not fit makes it fail. `position` is the event's in the history."""
        if self.future.done():
            return
        settled_at(self.future, position)
        try:
            result = self.decode(payload)
        except Exception as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

    def fail(self, error: Exception, position: int) -> None:
        """Settle the future with an error."""
        if not self.future.done():
            settled_at(self.future, position)
            self.future.set_exception(error)


def settled_at(future: asyncio.Future[Any], position: int) -> None:
    """Note where in the history a future was settled: those that are done already can still be told apart by order."""
    future.position = position  # pyright: ignore[reportAttributeAccessIssue]


class Issued:
    """A command of the current step: who waits for it, and, in a replay, where in user code it was made."""

    __slots__ = ("code", "command", "elided", "line", "waiter")

    def __init__(self, command: Command, waiter: Awaited | DurableHandle | None, replaying: bool) -> None:
        self.command = command
        self.waiter = waiter
        self.elided = False
        # Only what is replayed can differ from the history and be asked where it was made.
        self.code, self.line = _user_frame() if replaying else (None, 0)

    @property
    def place(self) -> str:
        """`file:line, in function` of the user code that issued the command."""
        return (
            f"{self.code.co_filename}:{self.line}, in {self.code.co_qualname}"
            if self.code
            else "the orchestrator's end"
        )


class Mailroom:
    """External events and who waits for them: first in, first out per name; every wait takes its own event.

    An unread event is kept with its position in the history and a count of arrivals, which orders those of one place.
    """

    __slots__ = ("_arrived", "_unread", "_waiting")

    def __init__(self) -> None:
        self._arrived = 0
        self._unread: dict[str, deque[tuple[int, int, KeptEvent]]] = {}
        self._waiting: dict[str, deque[Awaited]] = {}

    def wait(self, awaited: Awaited) -> None:
        """Reserve the next event of that name."""
        unread = self._unread.get(awaited.name)
        if unread:
            item = unread.popleft()
            position, _, event = item
            awaited.succeed(event.data, position)
            awaited.future.give_back = partial(unread.appendleft, item)  # pyright: ignore[reportAttributeAccessIssue]
        else:
            self._waiting.setdefault(awaited.name, deque()).append(awaited)

    def deliver(self, event: KeptEvent, position: int) -> None:
        """Hand the event at this position of the history to the first wait that still wants one, or keep it."""
        waiting = self._waiting.get(event.name)
        while waiting:
            awaited = waiting.popleft()
            # A wait that timed out or was cancelled has given its slot back.
            if not awaited.future.done():
                awaited.succeed(event.data, position)
                return
        self._arrived += 1
        self._unread.setdefault(event.name, deque()).append((position, self._arrived, event))

    def unread(self) -> tuple[KeptEvent, ...]:
        """The events that nobody has taken, in the order of their arrival."""
        kept = sorted((item for queue in self._unread.values() for item in queue), key=lambda item: item[:2])
        return tuple(event for _, _, event in kept)


def _user_frame() -> tuple[CodeType | None, int]:
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        code = frame.f_code
        known = _is_user_code.get(code)
        if known is None:
            name = code.co_filename
            known = _is_user_code[code] = not (name.startswith(_ENGINE) or any(part in name for part in _LIBRARIES))
        if known:
            return code, frame.f_lineno
        frame = frame.f_back
    return None, 0
