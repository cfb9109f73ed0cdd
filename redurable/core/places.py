"""Where an execution can go back to: a place of its history at which it had decided all that it wanted to, and what of
that which it read since then it is to read again.

Positions count the events from 0. A place is named by the event that follows it, which must be one that user code was
fed: what stands before it is a whole number of steps, and can be replayed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from redurable.core.events import (
    ActivityCompleted,
    ActivityFailed,
    Event,
    EventRaised,
    ExecutionCanceled,
    ExecutionCancelRequested,
    ExecutionFailed,
    ExecutionReset,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    InputEvent,
    SubOrchestrationCompleted,
    SubOrchestrationFailed,
    TimerCreated,
    TimerFired,
)
from redurable.core.messages import (
    ActivityResult,
    Cancel,
    Message,
    RaiseEvent,
    Resume,
    SubOrchestrationResult,
    Suspend,
    TimerDue,
)
from redurable.core.state import State
from redurable.errors import ExecutionTimedOut, HistoryLimitExceeded, InvalidPosition

_BEGINNING = (ExecutionStarted, ExecutionRewound, ExecutionReset)
_LIMITS = (ExecutionTimedOut.__name__, HistoryLimitExceeded.__name__)


class Place(Struct, frozen=True):
    """`kept` events stay, `mail` is read again. Where only the start would stay, and that it was rewound, nothing does:
    code may not have run on it, and begins anew."""

    kept: int
    mail: tuple[Message, ...] = ()


def before(events: Sequence[Event], position: int, again: bool = True, instance: str = "") -> Place:
    """The place before this event; external events that came later are read again, unless `again` is false. Raises
    `InvalidPosition`."""
    valid = [at for at, event in enumerate(events) if isinstance(event, InputEvent)]
    if position not in valid:
        raise InvalidPosition(_refusal(events, position, valid, instance))
    later = tuple(_message(event) for event in events[position:] if isinstance(event, EventRaised)) if again else ()
    return Place(_whole(events, position), tuple(message for message in later if message is not None))


def before_end(events: Sequence[Event]) -> Place:
    """The place from which an execution that ended without completing goes on: before what ended it."""
    last = events[-1]
    if isinstance(last, ExecutionTerminated):
        return Place(_whole(events, len(events) - 1))
    if isinstance(last, ExecutionCanceled):
        return _place(events, _last(events, ExecutionCancelRequested), canceled=True)
    if isinstance(last, ExecutionFailed) and not _is_limit(last):
        return _place(events, _before_failure(events, last))
    return Place(_whole(events, len(events) - 1))


def _refusal(events: Sequence[Event], position: int, valid: Sequence[int], instance: str) -> str:
    if not valid:
        return f"instance {instance!r} has no history yet: there is nothing to go back to"
    below = [at for at in valid if at < position][-1:]
    above = [at for at in valid if at > position][:1]
    near = " and ".join(f"{at} ({type(events[at]).__name__})" for at in below + above)
    return (
        f"instance {instance!r} cannot go back to before event {position!r} of its history: choose one that its "
        f"orchestrator was told, not one that it decided; the nearest are {near}"
    )


def _is_limit(last: ExecutionFailed) -> bool:
    """Said by the runtime, not by user code: no step of user code is to be taken back."""
    return last.failure.type in _LIMITS and not last.failure.stack


def _last(events: Sequence[Event], kind: type[Event] | None = None) -> int:
    wanted = InputEvent if kind is None else kind
    return next((at for at in reversed(range(len(events))) if isinstance(events[at], wanted)), 0)


def _before_failure(events: Sequence[Event], end: ExecutionFailed) -> int:
    """The first of the failures that led to the end: those that the error of the end came from, and those that came
    since user code last decided anything. Without any it is the last event that user code was fed."""
    last = first = _last(events)
    while first > 0 and isinstance(events[first - 1], InputEvent):
        first -= 1
    causes = frozenset(end.causes)
    return min(
        (at for at, event in enumerate(events) if _has_failed(event) and (at >= first or _seq(event) in causes)),
        default=last,
    )


def _place(events: Sequence[Event], position: int, canceled: bool = False) -> Place:
    """Failures behind the place are taken back, and their calls run again; successes stay, as far as their calls do."""
    kept = _whole(events, position)
    state = State()
    state.fold(events[:kept])
    dropped = (ExecutionCancelRequested,) if canceled else ()
    later = [event for event in events[position:] if not isinstance(event, dropped) and not _has_failed(event)]
    return Place(kept, tuple(_again(later, state)))


def _again(later: Sequence[Event], kept: State) -> Iterator[Message]:
    for event in later:
        seq = _seq(event)
        message = _message(event, kept) if seq is None or seq in kept.open else None
        if message is not None:
            yield message


def _has_failed(event: Event) -> bool:
    return isinstance(event, ActivityFailed | SubOrchestrationFailed)


def _seq(event: Event) -> int | None:
    return getattr(event, "seq", None)


def _whole(events: Sequence[Event], position: int) -> int:
    begun = any(not isinstance(event, _BEGINNING) for event in events[:position])
    return position if begun else 0


def _message(event: Event, kept: State | None = None) -> Message | None:
    """What told an execution of this; None for what nobody says again."""
    match event:
        case EventRaised():
            return RaiseEvent(name=event.name, data=event.data, id=event.id, trace=event.trace)
        case ExecutionCancelRequested():
            return Cancel(reason=event.reason, id=event.id)
        case ExecutionSuspended():
            return Suspend(reason=event.reason)
        case ExecutionResumed():
            return Resume(reason=event.reason)
        case SubOrchestrationCompleted():
            return SubOrchestrationResult(seq=event.seq, result=event.result)
        case TimerFired():
            made = kept.open.get(event.seq) if kept else None
            return TimerDue(seq=event.seq, due=made.due) if isinstance(made, TimerCreated) else None
        case ActivityCompleted():
            return ActivityResult(
                seq=event.seq,
                result=event.result,
                attempts=event.attempts,
                worker=event.worker,
                started=event.started,
                log=event.log,
            )
        case _:
            return None
