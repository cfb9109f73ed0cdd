"""What happened to an execution, past tense, append only: a closed union. Times are milliseconds of the Unix epoch.

An *input event* is fed to user code; the *decision events* behind it record what user code asked for in answer.
`commit` stands on the last event of every commit and holds that commit's head.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from redurable.core.messages import KeptEvent
from redurable.core.values import NULL, Arguments, Failure, Parent


class _Event(Struct, frozen=True, omit_defaults=True, tag=True, tag_field="type", kw_only=True):
    at: int
    commit: str = ""
    v: int = 1


class ExecutionStarted(_Event, frozen=True, kw_only=True):
    """`number` counts the executions of the instance from 1; `python` is the minor version that took the first turn."""

    name: str
    execution: str
    call: Arguments = Arguments()
    parent: Parent | None = None
    tags: dict[str, str] = {}
    number: int = 1
    first_seq: int = 1
    kept_events: tuple[KeptEvent, ...] = ()
    event_ids: tuple[str, ...] = ()
    python: str = ""


class ActivityCompleted(_Event, frozen=True, kw_only=True):
    seq: int
    result: Raw = NULL
    attempts: int = 1


class ActivityFailed(_Event, frozen=True, kw_only=True):
    seq: int
    failure: Failure


class TimerFired(_Event, frozen=True, kw_only=True):
    seq: int


class SubOrchestrationCompleted(_Event, frozen=True, kw_only=True):
    seq: int
    result: Raw = NULL


class SubOrchestrationFailed(_Event, frozen=True, kw_only=True):
    seq: int
    failure: Failure


class EventRaised(_Event, frozen=True, kw_only=True):
    name: str
    data: Raw = NULL
    id: str = ""


class ExecutionSuspended(_Event, frozen=True, kw_only=True):
    reason: str = ""


class ExecutionResumed(_Event, frozen=True, kw_only=True):
    reason: str = ""


class ExecutionTerminated(_Event, frozen=True, kw_only=True):
    reason: str = ""


class ActivityScheduled(_Event, frozen=True, kw_only=True):
    seq: int
    name: str
    call: Arguments = Arguments()
    task_queue: str = "default"


class TimerCreated(_Event, frozen=True, kw_only=True):
    seq: int
    due: int


class TimerCanceled(_Event, frozen=True, kw_only=True):
    seq: int


class SubOrchestrationScheduled(_Event, frozen=True, kw_only=True):
    seq: int
    name: str
    instance: str
    call: Arguments = Arguments()


class OrchestrationScheduled(_Event, frozen=True, kw_only=True):
    """A detached child: nobody waits for it."""

    seq: int
    name: str
    instance: str
    call: Arguments = Arguments()


class EventSent(_Event, frozen=True, kw_only=True):
    seq: int
    instance: str
    name: str
    data: Raw = NULL


class ExecutionCompleted(_Event, frozen=True, kw_only=True):
    result: Raw = NULL


class ExecutionFailed(_Event, frozen=True, kw_only=True):
    failure: Failure


class ExecutionContinuedAsNew(_Event, frozen=True, kw_only=True):
    """`next` is the id of the execution that goes on."""

    next: str
    call: Arguments = Arguments()


InputEvent = (
    ExecutionStarted
    | ActivityCompleted
    | ActivityFailed
    | TimerFired
    | SubOrchestrationCompleted
    | SubOrchestrationFailed
    | EventRaised
    | ExecutionSuspended
    | ExecutionResumed
    | ExecutionTerminated
)
DecisionEvent = (
    ActivityScheduled
    | TimerCreated
    | TimerCanceled
    | SubOrchestrationScheduled
    | OrchestrationScheduled
    | EventSent
    | ExecutionCompleted
    | ExecutionFailed
    | ExecutionContinuedAsNew
)
Event = InputEvent | DecisionEvent
EndEvent = ExecutionCompleted | ExecutionFailed | ExecutionContinuedAsNew | ExecutionTerminated
