"""What a history amounts to: a fold over its events, without running user code.

`admit` asks it which messages still mean something. Invariant: folding a history event by event or at once, on any
worker, gives the same state.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from redurable.core.events import (
    ActivityCanceled,
    ActivityCancelRequested,
    ActivityCompleted,
    ActivityFailed,
    ActivityScheduled,
    EndEvent,
    Event,
    EventRaised,
    EventSent,
    ExecutionCanceled,
    ExecutionCancelRequested,
    ExecutionCompleted,
    ExecutionContinuedAsNew,
    ExecutionFailed,
    ExecutionReset,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    OrchestrationScheduled,
    ParentRewound,
    SubOrchestrationCancelRequested,
    SubOrchestrationCompleted,
    SubOrchestrationFailed,
    SubOrchestrationScheduled,
    TimerCanceled,
    TimerCreated,
    TimerFired,
)
from redurable.core.history_cap import event_size
from redurable.core.values import Parent, RuntimeStatus

DEADLINE = 0
"""The number of the timer of an execution's deadline; those of commands begin with 1."""

CARRIED_EVENT_IDS = 1000
"""So many event ids are remembered across continue-as-new."""


class State:
    """The fold. `open` maps the seq of every call without an outcome to the decision event that made it, `canceled` are
    the activities of which it is not known what became of their attempts. `parent` is whom it answers. `origins`: from
    which seq on which execution made the calls. `size` counts bytes as `event_size` does, `long` says that user code
    was told to continue as new."""

    __slots__ = (
        "canceled",
        "clock",
        "ended",
        "event_ids",
        "length",
        "long",
        "next_seq",
        "open",
        "origins",
        "parent",
        "size",
        "started",
        "suspended",
        "tip",
    )

    def __init__(self) -> None:
        self.started: ExecutionStarted | None = None
        self.ended: EndEvent | None = None
        self.parent: Parent | None = None
        self.origins: list[tuple[int, str]] = []
        self.length = 0
        self.size = 0
        self.long = False
        self.clock = 0
        self.next_seq = 1
        self.tip = ""
        self.suspended = False
        self.open: dict[int, ActivityScheduled | TimerCreated | SubOrchestrationScheduled] = {}
        self.canceled: set[int] = set()
        self.event_ids: dict[str, None] = {}

    @property
    def execution(self) -> str:
        """The id of the execution; empty before its first turn."""
        return self.started.execution if self.started else ""

    @property
    def status(self) -> RuntimeStatus:
        """The runtime status that this history amounts to."""
        match self.ended:
            case ExecutionCompleted():
                return RuntimeStatus.COMPLETED
            case ExecutionFailed():
                return RuntimeStatus.FAILED
            case ExecutionCanceled():
                return RuntimeStatus.CANCELED
            case ExecutionTerminated():
                return RuntimeStatus.TERMINATED
            case ExecutionContinuedAsNew():
                return RuntimeStatus.RUNNING
            case None:
                return RuntimeStatus.SUSPENDED if self.suspended else RuntimeStatus.RUNNING

    def origin(self, seq: int) -> str:
        """The execution that made this call; another one than `execution` after a rewind or a reset."""
        return next((execution for first, execution in reversed(self.origins) if first <= seq), self.execution)

    def open_timers(self) -> tuple[int, ...]:
        """The seqs of the timers that have neither fired nor been cancelled."""
        return tuple(seq for seq, made in self.open.items() if isinstance(made, TimerCreated))

    def carried_event_ids(self) -> tuple[str, ...]:
        """The event ids that the next execution must still recognise."""
        return tuple(self.event_ids)[-CARRIED_EVENT_IDS:]

    def fold(self, events: Iterable[Event]) -> None:
        """Apply events in their order."""
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Apply the next event of the history."""
        self.length += 1
        self.size += event_size(event)
        if event.long:
            self.long = True
        if event.at > self.clock:
            self.clock = event.at
        if event.commit:
            self.tip = event.commit
        match event:
            case ActivityScheduled() | TimerCreated() | SubOrchestrationScheduled():
                self.next_seq = event.seq + 1
                self.open[event.seq] = event
            case (
                ActivityCompleted()
                | ActivityFailed()
                | TimerFired()
                | TimerCanceled()
                | SubOrchestrationCompleted()
                | SubOrchestrationFailed()
                | SubOrchestrationCancelRequested()
            ):
                self.open.pop(event.seq, None)
            case OrchestrationScheduled() | EventSent():
                self.next_seq = event.seq + 1
            case ActivityCancelRequested() | ActivityCanceled():
                self._apply_cancel(event)
            case EventRaised() | ExecutionCancelRequested():
                if event.id:
                    self.event_ids[event.id] = None
            case _:
                self._apply_life(event)

    def _apply_cancel(self, event: ActivityCancelRequested | ActivityCanceled) -> None:
        if isinstance(event, ActivityCanceled):
            self.canceled.discard(event.seq)
        elif self.open.pop(event.seq, None):
            self.canceled.add(event.seq)

    def _apply_life(self, event: Event) -> None:
        match event:
            case ExecutionStarted():
                self.started = event
                self.parent = event.parent
                self.next_seq = event.first_seq
                self.origins = [(0, event.origin or event.execution)]
                self.event_ids = dict.fromkeys(event.event_ids)
            case ExecutionRewound() | ExecutionReset():
                self.next_seq = event.next_seq
                self.parent = event.parent
                self.origins.append((event.next_seq, event.execution))
                self.canceled.clear()  # What becomes of those attempts is told to an execution that is over.
            case ParentRewound():
                self.parent = self.parent and msgspec.structs.replace(self.parent, execution=event.execution)
            case ExecutionSuspended():
                self.suspended = True
            case ExecutionResumed():
                self.suspended = False
            case ExecutionCompleted() | ExecutionFailed() | ExecutionCanceled():
                self.ended = event
            case ExecutionTerminated() | ExecutionContinuedAsNew():
                self.ended = event
            case _:
                pass
