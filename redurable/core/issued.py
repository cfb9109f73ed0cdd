"""What user code is waiting for: commands on their way into the history, and external events by name."""

from __future__ import annotations

import asyncio
import sys
from bisect import insort
from collections import deque
from collections.abc import Callable, Generator
from types import CodeType
from typing import Any, TypeAlias, TypeVar

from msgspec import Raw

from redurable.core.commands import Command
from redurable.core.loop import DeterministicLoop, DurableFuture, DurableHandle
from redurable.core.messages import KeptEvent

_ENGINE = (__file__.rpartition("core/")[0] + "core/", __file__.rpartition("core/")[0] + "authoring/")
_LIBRARIES = (asyncio.__file__.rpartition("/")[0] + "/", "/anyio/", "/contextlib.py")

_is_user_code: dict[CodeType, bool] = {}

T = TypeVar("T")
Letter: TypeAlias = tuple[int, KeptEvent]
"""An event, and its place in the order in which everything was done: no two have the same."""


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
        except BaseException as error:
            _fail(self.future, error)
        else:
            self.future.set_result(result)

    def fail(self, error: Exception, position: int) -> None:
        """Settle the future with an error."""
        if not self.future.done():
            settled_at(self.future, position)
            self.future.set_exception(error)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    """A payload could not be read. Its reader may be a validator of the user's, which may raise anything."""
    if isinstance(error, SystemExit | KeyboardInterrupt):
        raise error  # As from user code: the end of the execution.
    if isinstance(error, StopIteration):
        # No future takes it. As where a coroutine raises it, it is told as another error.
        stopped, error = error, RuntimeError("what reads this value raised StopIteration")
        error.__cause__ = stopped
    future.set_exception(error)


def settled_at(future: asyncio.Future[Any], position: int) -> None:
    """Note where in the history a future was settled: those that are done already can still be told apart by order."""
    # Futures take attributes, their type does not say so; a mapping beside them would have to be cleared.
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


class EventWait(DurableFuture[T]):
    """A slot in the queue of an event name: the future of the event that it gets.

    Whoever gives the wait up gives its slot back: a task that is cancelled before it has seen the event that came in
    the same step, or a `select` that another wait won. The event then goes to the next wait, as if this one had not
    been. What somebody has read stays read. `since`: when it was made, by the history's clock.
    """

    def __init__(
        self, loop: DeterministicLoop, mail: Mailroom, name: str, decode: Callable[[Raw], T], since: int
    ) -> None:
        super().__init__(loop)
        self.name = name
        self.since = since
        self._mail = mail
        self._decode = decode
        self._letter: Letter | None = None
        self._awaiting = 0
        self._reads = 0
        self._gone = False

    def receive(self, letter: Letter) -> None:
        """The event is here; one whose data do not fit makes the wait fail."""
        self._letter = letter
        settled_at(self, letter[0])
        try:
            result = self._decode(letter[1].data)
        except BaseException as error:
            _fail(self, error)
        else:
            self.set_result(result)

    def time_out(self, text: str, position: int) -> None:
        """No event came in time, says the timer whose firing is the history's event at `position`."""
        if not self.done():
            settled_at(self, position)
            self.set_exception(TimeoutError(text))

    def give_up(self) -> None:
        """Cancel the wait; if its event is here and nobody has read it, that goes to the next one."""
        if not self.cancel() and not self._reads:
            self._give_back()

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done():
            self._asyncio_future_blocking = True
            self._awaiting += 1
            try:
                yield self
            except asyncio.CancelledError:
                # Its task was cancelled between the coming of the event and the task's turn to see it. The one read is
                # that of asyncio, which looks for an error before it goes on with the task.
                if self._awaiting == 1 and self._reads <= 1:
                    self._give_back()
                raise
            finally:
                self._awaiting -= 1
        return self.result()

    __iter__ = __await__

    def result(self) -> T:
        if self._gone:
            raise asyncio.CancelledError
        self._reads += self.done()
        return super().result()

    def exception(self) -> BaseException | None:
        if self._gone:
            raise asyncio.CancelledError
        return super().exception()

    def cancelled(self) -> bool:
        return self._gone or super().cancelled()

    def _give_back(self) -> None:
        letter, self._letter = self._letter, None
        if letter is not None:
            super().exception()  # An error that nobody will ask for is not to be reported.
            self._gone = True
            self._mail.deliver(letter)


class Mailroom:
    """External events and who waits for them: first in, first out per name; every wait takes its own event."""

    __slots__ = ("_unread", "_waiting")

    def __init__(self) -> None:
        self._unread: dict[str, deque[Letter]] = {}
        self._waiting: dict[str, deque[EventWait[Any]]] = {}

    def wait(self, wait: EventWait[Any]) -> None:
        """Reserve the next event of that name."""
        unread = self._unread.get(wait.name)
        if unread:
            letter = unread.popleft()
            if not unread:
                del self._unread[wait.name]
            wait.receive(letter)
            return
        waiting = self._waiting.setdefault(wait.name, deque())
        while waiting and waiting[0].done():
            waiting.popleft()
        waiting.append(wait)

    def deliver(self, letter: Letter) -> None:
        """Hand an event to the first wait that still wants one, or keep it: one that has come, or one that comes back
        from a wait that was given up, in its old place."""
        name = letter[1].name
        waiting = self._waiting.get(name)
        while waiting:
            wait = waiting.popleft()
            # A wait that timed out or was cancelled has given its slot back.
            if not wait.done():
                wait.receive(letter)
                return
        insort(self._unread.setdefault(name, deque()), letter)

    def unread(self) -> tuple[KeptEvent, ...]:
        """The events that nobody has taken, in the order of their arrival."""
        return tuple(event for _, event in sorted(letter for queue in self._unread.values() for letter in queue))

    def depths(self) -> dict[str, int]:
        """How many events nobody has taken, by name."""
        return {name: len(queue) for name, queue in self._unread.items()}

    def waits(self) -> dict[str, int]:
        """Since when the oldest wait has waited, by the name of its event, in milliseconds of the history's clock."""
        found: dict[str, int] = {}
        for name, waiting in self._waiting.items():
            while waiting and waiting[0].done():
                waiting.popleft()
            if waiting:
                found[name] = waiting[0].since
        return found


def _user_frame() -> tuple[CodeType | None, int]:
    # The only way to a line of source without the cost of a whole stack (`inspect.stack`).
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
