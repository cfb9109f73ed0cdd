"""Step 1 of a turn: message -> input event. What the history knows already, or does not ask for, is dropped."""

from __future__ import annotations

from redurable.core.events import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityScheduled,
    EventRaised,
    ExecutionCancelRequested,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    InputEvent,
    ParentRewound,
    SubOrchestrationCompleted,
    SubOrchestrationFailed,
    SubOrchestrationScheduled,
    TimerCreated,
    TimerFired,
)
from redurable.core.messages import (
    ActivityFailure,
    ActivityResult,
    ActivityStopped,
    Cancel,
    Message,
    RaiseEvent,
    Resume,
    Rewind,
    StartExecution,
    SubOrchestrationFailure,
    SubOrchestrationResult,
    Suspend,
    Terminate,
    TimerDue,
)
from redurable.core.state import DEADLINE, State
from redurable.core.values import Parent


def begin(start: StartExecution, now: int, version: str) -> ExecutionStarted:
    """The first event of an execution."""
    return ExecutionStarted(
        at=now,
        name=start.name,
        execution=start.execution,
        call=start.call,
        parent=start.parent,
        tags=start.tags,
        memo=start.memo,
        number=start.number,
        first_seq=start.first_seq,
        kept_events=start.kept_events,
        event_ids=start.event_ids,
        python=version,
        deadline=start.deadline or (now + start.execution_timeout if start.execution_timeout else 0),
        trace=start.trace,
    )


def is_deadline(state: State, message: object) -> bool:
    """Whether this says that the execution has run out of its time: the timer of no command, number `DEADLINE`."""
    return isinstance(message, TimerDue) and message.seq == DEADLINE and message.execution == state.execution


def admit(state: State, message: Message, now: int) -> InputEvent | None:
    """The event that this message becomes, or None when it is stale or a repetition.

    The clock of a history never goes back: max(previous, server time, due time of the fired timer).
    """
    if message.execution and message.execution != state.execution:
        return None
    at = max(state.clock, now)
    match message:
        case RaiseEvent():
            if message.id and message.id in state.event_ids:
                return None
            return EventRaised(at=at, name=message.name, data=message.data, id=message.id, trace=message.trace)
        case Terminate():
            return ExecutionTerminated(at=at, reason=message.reason) if concerns(message, state.parent) else None
        case Cancel():
            if message.id in state.event_ids or not concerns(message, state.parent):
                return None
            return ExecutionCancelRequested(at=at, reason=message.reason, id=message.id)
        case Suspend():
            return None if state.suspended else ExecutionSuspended(at=at, reason=message.reason)
        case Rewind():
            return (
                ParentRewound(at=at, execution=message.heir, reason=message.reason)
                if message.is_for(state.parent)
                else None
            )
        case Resume():
            return ExecutionResumed(at=at, reason=message.reason) if state.suspended else None
        case _:
            return _outcome(state, message, at)


def concerns(message: Terminate | Cancel, parent: Parent | None) -> bool:
    """False when a parent means its child, and this instance, which answers `parent`, is not that child: another one
    has its id. A child that continued as new is."""
    return message.parent is None or message.parent == parent


Outcome = (
    ActivityResult | ActivityFailure | ActivityStopped | TimerDue | SubOrchestrationResult | SubOrchestrationFailure
)


def _outcome(state: State, message: Outcome, at: int) -> InputEvent | None:
    """The outcome of a call, if that call is open: a second outcome means nothing, one of a cancelled call only that
    there was an attempt."""
    if message.seq in state.canceled:
        return _stopped(message, at)
    match message, state.open.get(message.seq):
        case ActivityResult(), ActivityScheduled():
            return ActivityCompleted(
                at=at,
                seq=message.seq,
                result=message.result,
                attempts=message.attempts,
                worker=message.worker,
                started=message.started,
                log=message.log,
            )
        case ActivityFailure(), ActivityScheduled():
            return ActivityFailed(
                at=at,
                seq=message.seq,
                failure=message.failure,
                worker=message.worker,
                started=message.started,
                log=message.log,
            )
        case TimerDue(), TimerCreated(due=due):
            return TimerFired(at=max(at, due), seq=message.seq)
        case SubOrchestrationResult(), SubOrchestrationScheduled():
            return SubOrchestrationCompleted(at=at, seq=message.seq, result=message.result)
        case SubOrchestrationFailure(), SubOrchestrationScheduled():
            return SubOrchestrationFailed(at=at, seq=message.seq, failure=message.failure)
        case _:
            return None


def _stopped(message: Outcome, at: int) -> ActivityCanceled | None:
    """What is known of the attempts of a cancelled call, whether they were stopped or came to an end."""
    match message:
        case ActivityStopped(attempt=attempt) | ActivityResult(attempts=attempt):
            number = attempt
        case ActivityFailure(failure=failure):
            number = failure.attempts
        case _:
            return None
    return ActivityCanceled(
        at=at, seq=message.seq, attempt=number, worker=message.worker, started=message.started, log=message.log
    )
