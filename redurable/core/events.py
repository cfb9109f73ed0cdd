"""What happened to an execution, past tense, append only: a closed union. Times are milliseconds of the Unix epoch.

An *input event* is fed to user code; the *decision events* behind it record what user code asked for in answer.
`commit` stands on the last event of every commit and holds that commit's head. An input event that is `long` says that
the history has become so: from there on user code is told to continue as new.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from redurable.core.messages import KeptEvent
from redurable.core.values import ABSENT, NULL, Arguments, Attempt, Failure, Parent, ParentClose, Retry, Timeouts, Trace


class _Event(Struct, frozen=True, omit_defaults=True, tag=True, tag_field="type", kw_only=True):
    at: int
    commit: str = ""
    long: bool = False
    v: int = 1


class ExecutionStarted(_Event, frozen=True, kw_only=True):
    """`number` counts the executions of the instance from 1; `python` is the minor version that took the first turn.
    `deadline`: when the execution must have ended (0: whenever). `trace`: what its span belongs below. `origin`: the
    execution that this event was made by, when another one begins with its history; `before`: all that began with it
    before this one did."""

    name: str
    execution: str
    call: Arguments = Arguments()
    parent: Parent | None = None
    tags: dict[str, str] = {}
    memo: Raw = ABSENT
    number: int = 1
    first_seq: int = 1
    kept_events: tuple[KeptEvent, ...] = ()
    event_ids: tuple[str, ...] = ()
    python: str = ""
    deadline: int = 0
    origin: str = ""
    before: tuple[str, ...] = ()
    trace: Trace | None = None


class ActivityCompleted(_Event, frozen=True, kw_only=True):
    """`worker` ran the attempt that returned, since `started`; `log` tells of the attempts before it."""

    seq: int
    result: Raw = NULL
    attempts: int = 1
    worker: str = ""
    started: int = 0
    log: tuple[Attempt, ...] = ()


class ActivityFailed(_Event, frozen=True, kw_only=True):
    """As `ActivityCompleted`; an empty `worker`: no attempt ended so, the call did, after those in `log`."""

    seq: int
    failure: Failure
    worker: str = ""
    started: int = 0
    log: tuple[Attempt, ...] = ()


class ActivityCanceled(_Event, frozen=True, kw_only=True):
    """What attempts a cancelled call had, as far as it is known; fed to no user code. As `ActivityCompleted`; an empty
    `worker`: none was under way."""

    seq: int
    attempt: int
    worker: str = ""
    started: int = 0
    log: tuple[Attempt, ...] = ()


class TimerFired(_Event, frozen=True, kw_only=True):
    seq: int


class SubOrchestrationCompleted(_Event, frozen=True, kw_only=True):
    seq: int
    result: Raw = NULL


class SubOrchestrationFailed(_Event, frozen=True, kw_only=True):
    seq: int
    failure: Failure


class EventRaised(_Event, frozen=True, kw_only=True):
    """`trace`: who raised it, if that is known."""

    name: str
    data: Raw = NULL
    id: str = ""
    trace: Trace | None = None


class ExecutionSuspended(_Event, frozen=True, kw_only=True):
    reason: str = ""


class ExecutionResumed(_Event, frozen=True, kw_only=True):
    reason: str = ""


class ExecutionTerminated(_Event, frozen=True, kw_only=True):
    reason: str = ""


class ExecutionCancelRequested(_Event, frozen=True, kw_only=True):
    """The main task of the orchestrator is cancelled; what comes of it is up to its code."""

    reason: str = ""
    id: str = ""


class ExecutionRewound(_Event, frozen=True, kw_only=True):
    """What stands before it was taken from the history of `previous`, whose end was taken back; from here on
    `execution` decides, and its numbers begin with `next_seq`. `parent` is whom it answers."""

    execution: str
    previous: str
    next_seq: int
    reason: str = ""
    parent: Parent | None = None


class ExecutionReset(_Event, frozen=True, kw_only=True):
    """As `ExecutionRewound`; a person chose where the history of `previous` was left."""

    execution: str
    previous: str
    next_seq: int
    reason: str = ""
    parent: Parent | None = None


class ParentRewound(_Event, frozen=True, kw_only=True):
    """The parent was rewound or reset: the call that this instance answers belongs to its `execution` now."""

    execution: str
    reason: str = ""


class ActivityScheduled(_Event, frozen=True, kw_only=True):
    seq: int
    name: str
    call: Arguments = Arguments()
    task_queue: str = "default"
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()


class ActivityCancelRequested(_Event, frozen=True, kw_only=True):
    """Nobody waits for the call any more; its outcome is dropped."""

    seq: int


class TimerCreated(_Event, frozen=True, kw_only=True):
    seq: int
    due: int


class TimerCanceled(_Event, frozen=True, kw_only=True):
    seq: int


class SubOrchestrationScheduled(_Event, frozen=True, kw_only=True):
    """`not_before`: when the child may take its first turn (0: at once); `attempt` counts the calls of a retry policy,
    each with an instance of its own."""

    seq: int
    name: str
    instance: str
    call: Arguments = Arguments()
    not_before: int = 0
    attempt: int = 1
    parent_close: ParentClose = ParentClose.TERMINATE
    tags: dict[str, str] = {}
    memo: Raw = ABSENT
    execution_timeout: int = 0


class SubOrchestrationCancelRequested(_Event, frozen=True, kw_only=True):
    """Nobody waits for the child any more; it is asked to end, and its outcome is dropped."""

    seq: int


class OrchestrationScheduled(_Event, frozen=True, kw_only=True):
    """A detached child: nobody waits for it. `not_before` as in `SubOrchestrationScheduled`."""

    seq: int
    name: str
    instance: str
    call: Arguments = Arguments()
    not_before: int = 0


class EventSent(_Event, frozen=True, kw_only=True):
    seq: int
    instance: str
    name: str
    data: Raw = NULL


class ExecutionCompleted(_Event, frozen=True, kw_only=True):
    result: Raw = NULL


class ExecutionFailed(_Event, frozen=True, kw_only=True):
    """`causes` are the numbers of the calls whose failures led to it."""

    failure: Failure
    causes: tuple[int, ...] = ()


class ExecutionCanceled(_Event, frozen=True, kw_only=True):
    """The orchestrator was asked to end, and let the `CancelledError` out."""

    reason: str = ""


class ExecutionContinuedAsNew(_Event, frozen=True, kw_only=True):
    """`next` is the id of the execution that goes on."""

    next: str
    call: Arguments = Arguments()


InputEvent = (
    ExecutionStarted
    | ActivityCompleted
    | ActivityFailed
    | ActivityCanceled
    | TimerFired
    | SubOrchestrationCompleted
    | SubOrchestrationFailed
    | EventRaised
    | ExecutionSuspended
    | ExecutionResumed
    | ExecutionTerminated
    | ExecutionCancelRequested
    | ExecutionRewound
    | ExecutionReset
    | ParentRewound
)
DecisionEvent = (
    ActivityScheduled
    | ActivityCancelRequested
    | TimerCreated
    | TimerCanceled
    | SubOrchestrationScheduled
    | SubOrchestrationCancelRequested
    | OrchestrationScheduled
    | EventSent
    | ExecutionCompleted
    | ExecutionFailed
    | ExecutionCanceled
    | ExecutionContinuedAsNew
)
Event = InputEvent | DecisionEvent


class ActivityStarted(_Event, frozen=True, kw_only=True):
    """A row of a history that is read, never stored: a worker began an attempt. See `core.rows`."""

    seq: int
    attempt: int
    worker: str = ""


class ActivityAttemptFailed(_Event, frozen=True, kw_only=True):
    """A row: the attempt raised an error, and is followed by another one, or by the end of the call."""

    seq: int
    attempt: int
    failure: Failure | None = None


class ActivityAttemptTimedOut(_Event, frozen=True, kw_only=True):
    """A row: the attempt took too long, or gave no sign of life for too long."""

    seq: int
    attempt: int
    failure: Failure | None = None


class ActivityAttemptCrashed(_Event, frozen=True, kw_only=True):
    """A row: the worker fell silent in the attempt, and its lease ran out."""

    seq: int
    attempt: int


AttemptRow = ActivityStarted | ActivityAttemptFailed | ActivityAttemptTimedOut | ActivityAttemptCrashed
HistoryRow = Event | AttemptRow
"""What a history is shown as: its events, and between them what its activities' attempts were."""
EndEvent = ExecutionCompleted | ExecutionFailed | ExecutionCanceled | ExecutionContinuedAsNew | ExecutionTerminated
BEGINNINGS = (ExecutionStarted, ExecutionRewound, ExecutionReset)
"""What says how an execution came to be."""
