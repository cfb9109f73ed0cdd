"""Step 2 of a turn: input event -> commands. A live execution: user code, suspended between its events.

Warm and cold are the same object: `catch_up` feeds what the history holds and compares, `step` feeds what is new.
Events are fed one by one and the loop runs until idle in between, so completion order is history order.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from redurable.core.causes import numbered, numbers_of
from redurable.core.commands import (
    CancelActivity,
    CancelExecution,
    CancelSubOrchestration,
    CancelTimer,
    Command,
    Complete,
    ContinueAsNew,
    Fail,
)
from redurable.core.definition import Definition
from redurable.core.events import (
    ActivityCompleted,
    ActivityFailed,
    DecisionEvent,
    Event,
    EventRaised,
    ExecutionCancelRequested,
    ExecutionReset,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    InputEvent,
    ParentRewound,
    SubOrchestrationCompleted,
    SubOrchestrationFailed,
    TimerFired,
)
from redurable.core.issued import Awaited, Issued
from redurable.core.limits import activity_error
from redurable.core.loop import DurableCall, DurableHandle
from redurable.core.match import match
from redurable.core.messages import KeptEvent
from redurable.core.scope import LiveScope
from redurable.core.sizes import UNBOUNDED, Bounds
from redurable.errors import InvalidPayload, TurnLimitExceeded
from redurable.errors import SubOrchestrationFailed as SubOrchestrationError

_UNDOING = (CancelTimer, CancelActivity, CancelSubOrchestration)

_BASE_SIZE = 10_400
"""Bytes of a suspended execution beside its payloads, as measured: loop, task, futures, scope."""


class Replay:
    """One live execution. Belongs to the turn thread. Not usable after `evict`."""

    def __init__(
        self, definition: Definition, instance: str, started: ExecutionStarted, bounds: Bounds = UNBOUNDED
    ) -> None:
        self.definition = definition
        self.scope = LiveScope(instance, started, bounds)
        self.size = _BASE_SIZE
        self.concluded = False
        self._main: asyncio.Task[Raw] | None = None
        self._open: dict[int, Awaited | DurableHandle] = {}
        self._buffered: list[InputEvent] = []
        self._suspended = False
        self._fatal: BaseException | None = None
        self.unheard: ExecutionCancelRequested | None = None
        self._cancel: ExecutionCancelRequested | None = None

    @property
    def moved(self) -> int:
        """How many bytes of payloads user code has been given and has made so far."""
        return self.size + self.scope.made

    def catch_up(self, events: Sequence[Event]) -> None:
        """Feed what the history holds beyond this point. Raises `NondeterminismError` when the code disagrees."""
        if not events:
            return
        self.scope.replaying = True
        issued: list[Issued] = []
        expected: list[DecisionEvent] = []
        last: Event | None = None
        for event in events:
            if isinstance(event, DecisionEvent):
                expected.append(event)
            elif isinstance(event, ExecutionRewound | ExecutionReset) and isinstance(last, ExecutionStarted):
                issued = [*issued, *self._feed(event)]  # It is said before what the first step decides.
            else:
                self._agree(expected, issued)
                expected = []
                issued = self._feed(event)
            last = event
        self._agree(expected, issued)
        # What user code did in the past was announced when it was new.
        self.scope.custom_status = None
        self.scope.loop.settle_errors()
        self.scope.replaying = False

    def step(self, event: InputEvent) -> list[Issued]:
        """Feed a new event; return what user code asked for in answer. `bind` must be told the numbers."""
        return self._feed(event)

    def bind(self, seq: int, issued: Issued) -> None:
        """The history calls this command `seq`; its outcome will come under that number."""
        self.scope.seen += 1
        waiter = issued.waiter
        if waiter is None:
            if isinstance(issued.command, _UNDOING):
                self._open.pop(issued.command.seq, None)
            return
        self._open[seq] = waiter
        if isinstance(waiter, DurableHandle):
            waiter.seq = seq
        elif isinstance(waiter.future, DurableCall):
            waiter.future.seq = seq

    def unread(self) -> tuple[KeptEvent, ...]:
        """External events that user code has not taken."""
        return self.scope.mail.unread()

    def depths(self) -> dict[str, int]:
        """What is told of external events, by name (`TurnCommit.unread`); those that wait for a resume count, too."""
        depths = self.scope.mail.depths()
        for event in self._buffered:
            if isinstance(event, EventRaised):
                depths[event.name] = depths.get(event.name, 0) + 1
        for name, since in self.scope.mail.waits().items():
            depths.setdefault(name, -since)
        return depths

    def take_custom_status(self) -> Raw | None:
        """The custom status set since the last call, if any."""
        status, self.scope.custom_status = self.scope.custom_status, None
        return status

    def take_errors(self) -> tuple[str, ...]:
        """Errors of tasks that nobody awaits so far."""
        return tuple(self.scope.loop.settle_errors())

    def evict(self) -> None:
        """Let go of user code without running any of it."""
        self.scope.loop.kill()
        self._open.clear()
        self._main = None

    def _agree(self, expected: list[DecisionEvent], issued: list[Issued]) -> None:
        for event, answer in zip(expected, match(expected, issued, self.scope.seen), strict=True):
            self.bind(getattr(event, "seq", 0), answer)

    def _feed(self, event: InputEvent) -> list[Issued]:
        scope = self.scope
        scope.begin_step(event.at)
        scope.long = scope.long or event.long
        try:
            self._receive(event)
        except (TurnLimitExceeded, SystemExit, KeyboardInterrupt) as error:
            self._fatal = error
        self._fatal = self._fatal or scope.refused
        conclusion = self._conclude()
        if conclusion is not None:
            self.concluded = True
            scope.issued.append(Issued(conclusion, None, scope.replaying))
        return [issued for issued in scope.issued if not issued.elided]

    def _receive(self, event: InputEvent) -> None:
        match event:
            case ExecutionSuspended():
                self._suspended = True
            case ExecutionRewound() | ExecutionReset():
                self.scope.execution = event.execution
            case ExecutionTerminated() | ParentRewound():
                pass
            case ExecutionResumed():
                self._suspended = False
                buffered, self._buffered = self._buffered, []
                for earlier in buffered:
                    self._wake(earlier)
            case _ if self._suspended:
                self._buffered.append(event)
            case _:
                self._wake(event)

    def _wake(self, event: InputEvent) -> None:
        """Settle what the event settles, then run user code until it waits again."""
        place = self.scope.loop.next_place
        match event:
            case ExecutionStarted():
                self._start(event)
            case ActivityCompleted() | SubOrchestrationCompleted():
                self.size += 200 + memoryview(event.result).nbytes
                self._waiter(event.seq).succeed(event.result, place())
            case ActivityFailed():
                waiter = self._waiter(event.seq)
                waiter.fail(numbered(activity_error(waiter.name, event.failure), event.seq), place())
            case SubOrchestrationFailed():
                waiter = self._waiter(event.seq)
                waiter.fail(numbered(SubOrchestrationError(waiter.name, event.failure), event.seq), place())
            case TimerFired():
                self._fire(event.seq)
            case EventRaised():
                self.size += 200 + memoryview(event.data).nbytes
                self.scope.mail.deliver((place(), KeptEvent(event.name, event.data, event.id)))
            case ExecutionCancelRequested():
                self._request_cancel(event)
            case _:
                pass
        self.scope.loop.run()

    def _start(self, event: ExecutionStarted) -> None:
        for kept in event.kept_events:
            self.scope.mail.deliver((self.scope.loop.next_place(), kept))
        coroutine = self.definition.run(self.scope, event.call)
        # A fresh context: what the worker keeps in context variables is none of the orchestrator's business.
        self._main = self.scope.loop.create_task(coroutine, context=contextvars.Context())

    def _request_cancel(self, event: ExecutionCancelRequested) -> None:
        """As `task.cancel()`: the next await of the orchestrator raises, and its code decides what comes of it."""
        if self._main is not None and self._main.cancel(event.reason or None):
            self._cancel = event
        else:  # It ended in this step, while what had come during a suspension was fed.
            self.unheard = event

    def _waiter(self, seq: int) -> Awaited:
        waiter = self._open.pop(seq)
        assert isinstance(waiter, Awaited)
        return waiter

    def _fire(self, seq: int) -> None:
        handle = self._open.pop(seq, None)
        if isinstance(handle, DurableHandle):
            self.scope.loop.fire(handle)

    def _conclude(self) -> Command | None:
        """How the execution ended in this step, if it did."""
        main = self._main
        if self.concluded:
            return None
        ended = main is not None and main.done()
        # Asked for in any case: an error that ends the execution is none that nobody awaited.
        error: Any = (asyncio.CancelledError() if main.cancelled() else main.exception()) if main and ended else None
        if self._fatal is not None:
            return Fail(self.definition.failure(self._fatal))
        if main is None or not ended:
            return None
        if self.scope.continuation is not None:
            return self._continue_as_new(self.scope.continuation)
        if main.cancelled() and self._cancel is not None:
            return CancelExecution(self._cancel.reason)
        if error is not None:
            return Fail(self.definition.failure(error), numbers_of(error))
        return self._complete(main.result())

    def _complete(self, result: Raw) -> Complete | Fail:
        try:
            self.scope.check_size(f"orchestrator {self.definition.name!r}", "result", memoryview(result).nbytes)
        except (InvalidPayload, TurnLimitExceeded) as error:
            return Fail(self.definition.failure(error))
        return Complete(result)

    def _continue_as_new(self, continuation: ContinueAsNew) -> ContinueAsNew | Fail:
        try:
            if continuation.keep_events:
                self.scope.check_kept()
        except TurnLimitExceeded as error:
            return Fail(self.definition.failure(error))
        return continuation
