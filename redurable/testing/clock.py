"""The virtual clock of a test environment: it stands still until it is moved, and then wakes who sleeps on it.

Two kinds of sleepers: the worker, which watches the time limits of attempts (`VirtualClock` is its clock), and the code
of activities (`ActivityTime` gives them this clock in place of the event loop's). Everything else in the process, the
test itself included, keeps its real time.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import Context, copy_context
from math import ceil, inf
from typing import Any, NamedTuple, cast

from anyio import CancelScope

from redurable.authoring.activity_context import ActivityContext
from redurable.errors import CallerError
from redurable.worker.clock import StoreClock

_EXACT = 1e-6
"""Fractions of a millisecond that are an error of floating-point arithmetic, and no time."""


class AttemptKey(NamedTuple):
    """An attempt of an activity: the call's idempotency key, and the number of the attempt."""

    call: str
    number: int


class _Sleeper(NamedTuple):
    """Who is to be woken at `due` (seconds since the clock began). `attempt`: whose sleep it is, if it is one."""

    due: float
    number: int
    wake: Callable[[], object]
    is_waiting: Callable[[], bool]
    attempt: AttemptKey | None


class VirtualClock(StoreClock):
    """Begins at `start` (milliseconds of the Unix epoch). `changed` is called whenever somebody falls asleep."""

    __slots__ = ("_changed", "_latest", "_numbers", "_sleepers", "_start", "milliseconds")

    def __init__(self, start: int, changed: Callable[[], None]) -> None:
        super().__init__()
        self.milliseconds = start
        self._start = start
        self._changed = changed
        self._latest = 0.0
        self._sleepers: list[_Sleeper] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self.milliseconds

    def sync(self, now: int) -> None:
        """The store has no other clock than this one."""

    def monotonic(self) -> float:
        """Seconds since the beginning; never before the `due` of who was woken, though that be a fraction of a ms."""
        return max((self.milliseconds - self._start) / 1000, self._latest)

    @contextmanager
    def move_on_after(self, seconds: float) -> Generator[CancelScope]:
        waiting = True
        with CancelScope() as scope:
            self.sleep(self.monotonic() + seconds, scope.cancel, lambda: waiting)
            try:
                yield scope
            finally:
                waiting = False

    def sleep(
        self,
        due: float,
        wake: Callable[[], object],
        is_waiting: Callable[[], bool],
        attempt: AttemptKey | None = None,
    ) -> None:
        """Call `wake` at `due` (in terms of `monotonic`), if `is_waiting` still says so then."""
        heapq.heappush(self._sleepers, _Sleeper(due, next(self._numbers), wake, is_waiting, attempt))
        self._changed()

    def next_due(self) -> int | None:
        """When the next sleeper is to be woken, in milliseconds of the Unix epoch."""
        while self._sleepers and not self._sleepers[0].is_waiting():
            heapq.heappop(self._sleepers)
        if not self._sleepers or self._sleepers[0].due == inf:
            return None
        return max(self._start + ceil(self._sleepers[0].due * 1000 - _EXACT), self.milliseconds)

    def wake_due(self) -> bool:
        """Wake everybody whose time has come; whether there was anybody."""
        woken = False
        while (due := self.next_due()) is not None and due <= self.milliseconds:
            sleeper = heapq.heappop(self._sleepers)
            self._latest = max(self._latest, sleeper.due)
            sleeper.wake()
            woken = True
        return woken

    def sleeping(self) -> set[AttemptKey]:
        """The attempts whose code sleeps."""
        return {s.attempt for s in self._sleepers if s.attempt is not None and s.is_waiting()}


class ActivityTime:
    """Puts the clock in the place of the event loop's own, for the code of activities that `owns` recognises as its."""

    def __init__(self, clock: VirtualClock, owns: Callable[[ActivityContext], bool]) -> None:
        self._clock = clock
        self._owns = owns

    @contextmanager
    def installed(self, loop: asyncio.AbstractEventLoop) -> Generator[None]:
        """The loop asks this clock during the block. `CallerError` for a loop that cannot be taught to."""
        try:
            attributes: dict[str, Any] = vars(loop)
        except TypeError:
            raise CallerError(
                f"a test environment needs an event loop of asyncio itself, not {type(loop).__name__}: run the tests "
                "without that loop's policy"
            ) from None
        time, call_at, call_later = loop.time, loop.call_at, loop.call_later
        before = {name: attributes.get(name) for name in ("time", "call_at", "call_later")}

        def virtual_time() -> float:
            return time() if self._activity() is None else self._clock.monotonic()

        def virtual_call_at(when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
            activity = self._activity()
            if activity is None:
                return call_at(when, callback, *args, context=context)
            within = copy_context() if context is None else context
            handle = asyncio.TimerHandle(when, callback, args, loop, within)
            self._sleep(handle, lambda: loop.call_soon(callback, *args, context=within), activity, args)
            return handle

        def virtual_call_later(delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
            if self._activity() is None:
                return call_later(delay, callback, *args, context=context)
            return virtual_call_at(self._clock.monotonic() + delay, callback, *args, context=context)

        attributes.update(time=virtual_time, call_at=virtual_call_at, call_later=virtual_call_later)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del attributes[name]
                else:
                    attributes[name] = value

    def _activity(self) -> ActivityContext | None:
        try:
            activity = ActivityContext.current()
        except CallerError:
            return None
        return activity if self._owns(activity) else None

    def _sleep(
        self, handle: asyncio.TimerHandle, wake: Callable[[], object], activity: ActivityContext, args: tuple[Any, ...]
    ) -> None:
        # A timer that ends a wait is a sleep. One that calls a function is a deadline: what it limits may be at work.
        ends = cast("asyncio.Future[Any]", args[0]) if args and isinstance(args[0], asyncio.Future) else None
        attempt = AttemptKey(activity.idempotency_key, activity.attempt) if ends is not None else None

        def is_waiting() -> bool:
            return not (handle.cancelled() or (ends is not None and ends.done()))

        self._clock.sleep(handle.when(), wake, is_waiting, attempt)
