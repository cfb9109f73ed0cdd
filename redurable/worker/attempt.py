"""One attempt of an activity: bind the call, run the function, encode what it returns, and watch its timeouts.

Whatever user code raises is an outcome; only being cancelled by the worker comes out as `CancelledError`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import anyio.to_thread
from anyio import CapacityLimiter
from msgspec import Raw

from redurable.authoring.activity_context import ActivityContext, Pulse
from redurable.authoring.definitions import ActivityDefinition
from redurable.authoring.failures import failure_of
from redurable.core.limits import timed_out
from redurable.core.sizes import check_size
from redurable.core.values import NULL
from redurable.errors import (
    ActivityTimedOut,
    HeartbeatTimeout,
    InvalidPayload,
    ScheduleToCloseTimeout,
    StartToCloseTimeout,
)
from redurable.store.port import TaskEnd
from redurable.worker.clock import StoreClock
from redurable.worker.verdicts import Begun, Verdict, left_open, raised, ran_out, returned

_UNTRACED = contextlib.nullcontext()

CLEANUP_SECONDS = 1.0
"""So long an async function that was cancelled by a timeout may clean up before the next attempt can begin."""

Outcome: TypeAlias = Raw | BaseException
"""What a function returned, encoded; or what it raised."""

Working: TypeAlias = "asyncio.Task[Outcome]"


class Finished(NamedTuple):
    """How an attempt ended (see `verdicts`). `straggler`: its function, if that runs on after a timeout."""

    end: TaskEnd
    outcome: str
    straggler: Working | None = None


async def attempt(
    definition: ActivityDefinition, begun: Begun, threads: CapacityLimiter, clock: StoreClock
) -> Finished:
    """Run it, and watch the time where it is limited."""
    timeouts = begun.task.options.timeouts
    work = _outcome(definition, begun, threads)
    if not (timeouts.start_to_close or timeouts.schedule_to_close or timeouts.heartbeat):
        return _judged(definition, begun, await work, clock)
    return await _watched(definition, begun, work, clock)


def _judged(definition: ActivityDefinition, begun: Begun, outcome: Outcome, clock: StoreClock) -> Finished:
    if not isinstance(outcome, BaseException):
        return Finished(*(left_open(begun, clock.now()) if begun.pulse.later else returned(begun, outcome)))
    if isinstance(outcome, _Unfit) and outcome.__cause__ is not None:
        return Finished(*raised(begun, outcome.__cause__, clock.now(), final=True))
    error, wanted = _asked(definition, outcome)
    return Finished(*raised(begun, error, clock.now(), final=not wanted))


def _asked(definition: ActivityDefinition, error: BaseException) -> tuple[BaseException, bool]:
    """Whether the activity's own predicate wants another attempt; an error of the predicate takes the place of the one
    that it was asked about, and is final."""
    if definition.retry_if is None or not isinstance(error, Exception):
        return error, True
    try:
        return error, bool(definition.retry_if(error))
    except KeyboardInterrupt:
        raise
    except BaseException as problem:
        problem.__cause__ = error
        return problem, False


async def _outcome(definition: ActivityDefinition, begun: Begun, threads: CapacityLimiter) -> Outcome:
    try:
        with ActivityContext.of(begun.task, begun.pulse, begun.token).active():
            return await _run(definition, begun, threads)
    except asyncio.CancelledError as error:
        current = asyncio.current_task()
        if current is None or current.cancelling():
            raise
        return error
    except KeyboardInterrupt as error:
        if definition.is_async:
            raise  # Ctrl-C, which the thread of the loop gets; no other thread does.
        return error
    except BaseException as error:
        return error  # Libraries have such errors, too: panics of extensions, outcomes of test runners.


async def _run(definition: ActivityDefinition, begun: Begun, threads: CapacityLimiter) -> Raw:
    try:
        args, kwargs = definition.bind(begun.task.call)
    except InvalidPayload as error:
        raise _Unfit from error
    result: Any
    with begun.span or _UNTRACED:
        if definition.is_async:
            result = await definition.function(*args, **kwargs)
        else:
            call = partial(_try, partial(definition.function, *args, **kwargs))
            result, raised_there = await anyio.to_thread.run_sync(call, limiter=threads, abandon_on_cancel=True)
            if raised_there is not None:
                raise raised_there
    if begun.pulse.later:
        return NULL
    try:
        said = definition.encode(result)
        check_size(f"activity {definition.name!r}", "result", memoryview(said).nbytes, begun.pulse.max_payload)
    except InvalidPayload as error:
        raise _Unfit from error
    return said


def _try(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """In a thread. An error comes back as a value: thrown into who awaits it, `GeneratorExit` would pass them by."""
    try:
        return call(), None
    except BaseException as error:
        return None, error


class _Unfit(Exception):
    """Its cause says which payload does not fit its type, or is too large; the next attempt would find the same."""


async def _watched(
    definition: ActivityDefinition, begun: Begun, work: Coroutine[Any, Any, Outcome], clock: StoreClock
) -> Finished:
    """The function runs in a task of its own: what it does after a timeout holds nobody up."""
    deadlines = _Deadlines(begun, clock)
    working: Working = asyncio.get_running_loop().create_task(work)
    try:
        kind = await deadlines.run_out(working)
        if kind is None:
            return _judged(definition, begun, working.result(), clock)
        begun.pulse.cancel()
        if definition.is_async:
            working.cancel()
            if kind is not ScheduleToCloseTimeout:
                await asyncio.wait([working], timeout=CLEANUP_SECONDS)
    except asyncio.CancelledError:
        await _cancel(working)
        raise
    return Finished(*_timed_out(definition, begun, kind, working, clock.now()), None if working.done() else working)


def _timed_out(
    definition: ActivityDefinition, begun: Begun, kind: type[ActivityTimedOut], working: Working, now: float
) -> Verdict:
    cause, task = _said_in_the_end(working), begun.task
    error = kind(task.name, timed_out(kind, task, task.attempt, cause))
    answer, wanted = _asked(definition, error)
    return ran_out(begun, kind, now, cause, not wanted) if answer is error else raised(begun, answer, now, final=True)


async def _cancel(working: Working) -> None:
    """Cancel the function and wait until it has ended; whoever cancels the attempt again cancels the function again."""
    while not working.done():
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([working])


def _said_in_the_end(working: Working) -> Any:
    """The failure of a function that answered its cancellation with an error."""
    if not working.done() or working.cancelled():
        return None
    last = working.result()
    return failure_of(last) if isinstance(last, BaseException) else None


class _Deadlines:
    """When a running attempt must end, in seconds of the clock's `monotonic`."""

    def __init__(self, begun: Begun, clock: StoreClock) -> None:
        task, begin = begun.task, clock.monotonic()
        self._clock = clock
        timeouts = task.options.timeouts
        self._pulse: Pulse = begun.pulse
        self._heartbeat = timeouts.heartbeat / 1000
        self._fixed: list[tuple[float, type[ActivityTimedOut]]] = []
        if timeouts.start_to_close:
            self._fixed.append((begin + timeouts.start_to_close / 1000, StartToCloseTimeout))
        if task.close_by:
            self._fixed.append((begin + (task.close_by - clock.now()) / 1000, ScheduleToCloseTimeout))

    async def run_out(self, working: Working) -> type[ActivityTimedOut] | None:
        """Which timeout ran out before the function ended; None: none did."""
        while not working.done():
            due, kind = self._next()
            left = due - self._clock.monotonic()
            if left <= 0:
                return kind
            with self._clock.move_on_after(left):
                await asyncio.wait([working])
        return None

    def _next(self) -> tuple[float, type[ActivityTimedOut]]:
        due = list(self._fixed)
        if self._heartbeat:
            due.append((self._pulse.last + self._heartbeat, HeartbeatTimeout))
        return min(due, key=lambda deadline: deadline[0])
