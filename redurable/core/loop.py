"""The deterministic asyncio loop: one per execution; its clock is the history's, its callbacks run in fixed order.

Plain asyncio and anyio run on it. A timer (`call_at`) becomes a durable timer. Tasks and futures hash by their order
of creation, so that sets of them iterate the same on every replay. What would do I/O is refused. The loop never waits:
`run` goes on until nothing is ready, then the turn is over.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from asyncio import events, tasks
from binascii import crc32
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from typing import Any, NoReturn, Protocol, TypeVar

from redurable.core import refusals, scopes
from redurable.core.eviction import abandon
from redurable.core.steps import Step, check
from redurable.errors import NotDeterministic, TurnLimitExceeded

T = TypeVar("T")

MAX_CALLBACKS = 1_000_000
"""A turn that runs more callbacks than this never becomes idle."""

_NEVER = 253_402_300_800.0
"""The year 10000: timers beyond it do not fire, as with an infinite timeout."""

_MOST_SHOWN = 1_000
"""Characters of an error in a note."""

_SLACK = 0.000_5
"""Durable timers have millisecond resolution; what is due within half of one is due now."""


class TimerSink(Protocol):
    """Who is told of timers, and of calls that nobody waits for any more: the replay."""

    def timer_created(self, handle: DurableHandle, due: int) -> None: ...

    def timer_canceled(self, handle: DurableHandle) -> None: ...

    def call_canceled(self, call: DurableCall[Any]) -> None: ...


class _Nobody:
    """The sink of a dead loop."""

    def timer_created(self, handle: DurableHandle, due: int) -> None:
        pass

    def timer_canceled(self, handle: DurableHandle) -> None:
        pass

    def call_canceled(self, call: DurableCall[Any]) -> None:
        pass


_NOBODY = _Nobody()


class DurableHandle(asyncio.TimerHandle):
    """A timer's callback; `seq` is its number in the history, 0 until it has one and after it fired."""

    __slots__ = ("seq",)
    seq: int


class DurableFuture(asyncio.Future[T]):
    """A future that hashes by its order of creation."""

    def __init__(self, loop: DeterministicLoop) -> None:
        self._number = loop.next_number()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


class DurableCall(DurableFuture[T]):
    """The future of a call into the outside. `seq` is its number in the history, 0 until it has one; `undo` makes the
    command that cancels the call of that number."""

    def __init__(self, loop: DeterministicLoop, undo: Callable[[int], Any]) -> None:
        self._number = loop.next_number()
        asyncio.Future.__init__(self, loop=loop)  # pyright: ignore[reportUnknownMemberType] - hot: one call less
        self.seq = 0
        self.undo = undo

    def cancel(self, msg: Any | None = None) -> bool:
        canceled = super().cancel(msg)
        if canceled:
            loop = self.get_loop()
            assert isinstance(loop, DeterministicLoop)
            loop.call_canceled(self)
        return canceled


class DurableTask(asyncio.Task[T]):
    """A task that hashes by its order of creation. `position`: its place in the order in which things were done."""

    position: int

    def __init__(self, coro: Coroutine[Any, Any, T], loop: DeterministicLoop, **options: Any) -> None:
        self._number = loop.next_number()
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self._number


def _gathering_hash(future: Any) -> int:
    # asyncio.gather makes this future by itself, not through the loop. Only those of our loops hash by order.
    loop = future.get_loop()
    if not isinstance(loop, DeterministicLoop):
        return object.__hash__(future)
    number: int | None = getattr(future, "_number", None)
    if number is None:
        number = future._number = loop.next_number()
    return number


# asyncio has no public name for it.
tasks._GatheringFuture.__hash__ = _gathering_hash  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

_as_completed = asyncio.as_completed


def _ordered_as_completed(fs: Iterable[Any], *, timeout: float | None = None) -> Any:
    # The original makes a set of what it is given, and coroutines hash by address. As tasks they hash by order.
    if _inside():
        fs = [asyncio.ensure_future(item) for item in dict.fromkeys(fs)]
    return _as_completed(fs, timeout=timeout)


asyncio.as_completed = tasks.as_completed = _ordered_as_completed


def _shown(error: BaseException | None) -> str:
    """An error in a note. Its `repr` is user code, and may fail or be of any size."""
    try:
        text = repr(error)
    except BaseException as problem:
        text = f"{type(error).__name__}, whose repr() raises {type(problem).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _inside() -> bool:
    return isinstance(events._get_running_loop(), DeterministicLoop)


class DeterministicLoop(asyncio.AbstractEventLoop):
    """See the module. `identity` names the execution: numbers of different executions then differ, too."""

    def __init__(self, identity: str, sink: TimerSink) -> None:
        refusals.install(DeterministicLoop)
        scopes.adapt(_inside)
        # Hashes of live tasks meet in asyncio's global weak set: without this salt they would all collide there.
        self._salt = crc32(identity.encode(errors="replace")) << 24
        self._numbers = 0
        self._task_count = 0
        self._places = 0
        self._now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._sink = sink
        self._tasks: list[asyncio.Task[Any]] = []
        self._generators: dict[AsyncGenerator[Any, Any], None] = {}
        self._prune_at = 64
        self.errors: list[str] = []
        self.dead = False

    def next_number(self) -> int:
        """The hash of the next task or future."""
        self._numbers += 1
        return self._salt + self._numbers

    def next_place(self) -> int:
        """The place of what is done now in the order in which everything is done; the same on every replay."""
        self._places += 1
        return self._places

    # -- running

    def advance(self, clock: int) -> None:
        """Set the clock, in milliseconds; it never goes back."""
        self._now = max(self._now, clock / 1000)

    def fire(self, handle: DurableHandle) -> None:
        """A timer is due: its callback runs next."""
        handle.seq = 0
        self._now = max(self._now, handle.when())
        if not handle.cancelled():
            self._ready.append(handle)

    def run(self) -> None:
        """Run until nothing is ready. Raises `TurnLimitExceeded` when that never happens."""
        previous = events._get_running_loop()
        hooks = sys.get_asyncgen_hooks()
        events._set_running_loop(None)
        events._set_running_loop(self)
        sys.set_asyncgen_hooks(firstiter=self._generator_begun, finalizer=self._generator_dropped)
        try:
            self._drain()
        finally:
            sys.set_asyncgen_hooks(*hooks)
            events._set_running_loop(None)
            events._set_running_loop(previous)

    def _drain(self) -> None:
        ready = self._ready
        budget = MAX_CALLBACKS
        while ready:
            handle = ready.popleft()
            if not handle.cancelled():
                budget -= 1
                if budget < 0:
                    ready.clear()
                    raise TurnLimitExceeded(
                        f"a turn ran {MAX_CALLBACKS:,} callbacks without becoming idle: look for a loop that swallows "
                        "cancellation or never awaits a durable result"
                    )
                handle._run()

    def kill(self) -> None:
        """Let go of everything without running user code."""
        self.dead = True
        # Breaks the cycle with the scope, so that all of this is freed now and not by the garbage collector.
        self._sink = _NOBODY
        self._ready.clear()
        pending = [task for task in self._tasks if not task.done()]
        for task in pending:
            # No public name; asyncio itself sets it so on the tasks that it drops.
            task._log_destroy_pending = False  # pyright: ignore[reportAttributeAccessIssue]
        self.settle_errors()
        abandon([*(task.get_coro() for task in pending), *self._generators])
        scopes.forget(self._tasks)
        self._tasks.clear()
        self._generators.clear()

    def settle_errors(self) -> list[str]:
        """Errors of tasks that nobody awaits so far, each reported once and in order of creation."""
        for task in self._tasks:
            # Beside exceptions there is only `continue_as_new`, which is no failure.
            if task.done() and getattr(task, "_log_traceback", False) and isinstance(task.exception(), Exception):
                self.errors.append(
                    f"task {task.get_name()} failed, and nobody awaits it so far: {_shown(task.exception())}"
                )
        errors, self.errors = self.errors, []
        return errors

    # -- what asyncio and anyio call

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if type(callback) is Step:
            check(callback, DurableTask)
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = DurableHandle(when, callback, args, self, context)
        handle.seq = 0
        if when <= self._now + _SLACK:
            self._now = max(self._now, when)
            self._ready.append(handle)
        elif when < _NEVER:
            self._sink.timer_created(handle, round(when * 1000))
        return handle

    def _timer_handle_cancelled(self, handle: DurableHandle) -> None:
        self._sink.timer_canceled(handle)

    def call_canceled(self, call: DurableCall[Any]) -> None:
        """Somebody cancelled the future of a call."""
        self._sink.call_canceled(call)

    def create_future(self) -> asyncio.Future[Any]:
        return DurableFuture[Any](self)

    def create_task(
        self,
        coro: Any,
        *,
        name: object = None,
        context: contextvars.Context | None = None,
        **options: Any,
    ) -> asyncio.Task[Any]:
        self._task_count += 1
        label = f"Task-{self._task_count}" if name is None else str(name)
        task = DurableTask[Any](coro, self, name=label, context=context, **options)
        if len(self._tasks) >= self._prune_at:
            self._tasks = [old for old in self._tasks if not old.done() or getattr(old, "_log_traceback", False)]
            self._prune_at = max(64, 2 * len(self._tasks))
        self._tasks.append(task)
        task.add_done_callback(self._note_place)
        return task

    def _note_place(self, task: DurableTask[Any]) -> None:
        task.position = self.next_place()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:
            self.errors.append(f"{context.get('message')}: {_shown(context.get('exception'))}")

    def get_exception_handler(self) -> None:
        return None

    def get_task_factory(self) -> None:
        return None

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return self.dead

    def _generator_begun(self, generator: AsyncGenerator[Any, Any]) -> None:
        # A strong reference: a collected generator would be closed at a moment that no history knows.
        self._generators[generator] = None

    def _generator_dropped(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generators[generator] = None


_OWNED = "this loop runs by its history, and is the worker's: leave it as it is, and await what you wait for"
_OUTSIDE = "what comes from outside reaches an orchestrator as an event: await ctx.wait_for_external_event(…)"
_INSTEAD = {
    **dict.fromkeys(("add_signal_handler", "remove_signal_handler"), f"{_OUTSIDE}, and raise it where signals arrive"),
    "call_soon_threadsafe": f"{_OUTSIDE}, and raise it in the other thread",
    **dict.fromkeys(("close", "run_forever", "run_until_complete", "stop"), _OWNED),
    **dict.fromkeys(("shutdown_asyncgens", "shutdown_default_executor"), _OWNED),
    **dict.fromkeys(("set_debug", "set_default_executor", "set_exception_handler", "set_task_factory"), _OWNED),
}
"""What to do where an activity is no answer."""


def _refuse(name: str) -> Callable[..., NoReturn]:
    instead = _INSTEAD.get(name, "do this in an activity")

    def refused(self: DeterministicLoop, *args: Any, **options: Any) -> NoReturn:
        raise NotDeterministic(f"loop.{name}() inside an orchestrator cannot be replayed: {instead}")

    refused.__name__ = name
    return refused


for _name in dir(asyncio.AbstractEventLoop):
    if not _name.startswith("_") and _name not in vars(DeterministicLoop):
        setattr(DeterministicLoop, _name, _refuse(_name))
