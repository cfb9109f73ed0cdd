"""Rewind and reset: an instance goes on from an earlier place of its history, as another execution that begins with
what was kept of it.

No user code runs here. What is decided here is the next execution, its kept beginning, and what the children hear; its
first turn (`turn`) replays the beginning, reads again what is to be read again, and makes the open calls anew.
Invariant: messages name executions, so nothing that was meant for what was dropped reaches what goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from redurable.core.delivery import Delivery, Kept, Outgoing, TurnCommit
from redurable.core.events import ActivityScheduled, Event, ExecutionContinuedAsNew, SubOrchestrationScheduled
from redurable.core.messages import (
    Cancel,
    Message,
    RaiseEvent,
    Rewind,
    Rewound,
    StartExecution,
    SubOrchestrationFailure,
    SubOrchestrationResult,
    Terminate,
)
from redurable.core.places import Place, before_end
from redurable.core.settle import TAKEN
from redurable.core.state import DEADLINE, State
from redurable.core.traces import continued
from redurable.core.values import Failure, Parent, ParentClose, RuntimeStatus

GONE = "InstanceNotFound"
"""The type of the failure of a call whose child was purged, as the error of a client."""
PARENT_RESET = "its parent was reset to before it began"
"""Why a child is terminated or cancelled whose call is no more."""


class _Change(Struct, frozen=True):
    """An execution goes on from a place of its history; `parent` is whom the next one answers."""

    delivery: Delivery
    head: str
    whole: State
    kept: State
    place: Place
    parent: Parent | None
    reason: str
    reset: bool

    @property
    def execution(self) -> str:
        """The id of the next execution."""
        return f"{self.head}.r"

    @property
    def now(self) -> int:
        """The time of the change, by the history's clock."""
        return max(self.delivery.now, self.whole.clock)


def rewind(delivery: Delivery, head: str, reason: str) -> TurnCommit:
    """An instance that has finished without completing goes on from before that."""
    whole = _folded(delivery.events)
    return _commit(_change(delivery, head, whole, before_end(delivery.events), whole.parent, reason, False))


def reset(delivery: Delivery, head: str, place: Place, reason: str) -> TurnCommit:
    """An instance goes on from a place that somebody chose (`places.before`)."""
    whole = _folded(delivery.events)
    pending = delivery.start.rewound if delivery.start else None
    parent = pending.parent if pending else whole.parent
    if pending is not None:  # It was rewound before, and has not gone on yet.
        again = tuple(message for message in pending.mail if isinstance(message, RaiseEvent))
        place = msgspec.structs.replace(place, mail=(*place.mail, *again))
    return _commit(_change(delivery, head, whole, place, parent, reason, True))


def answer_again(delivery: Delivery, head: str, message: object) -> TurnCommit | None:
    """What a finished instance does that its parent asks for an answer once more; None: nothing."""
    if not isinstance(message, Rewind):
        return None
    whole, heir = _folded(delivery.events), _heir(message)
    if whole.parent == heir:
        return None  # A repetition.
    stranger = answer_of_a_stranger(message, whole.parent, delivery.entry.instance)
    if stranger is not None:
        return _tell(delivery, head, stranger.message, heir)
    if delivery.status is not RuntimeStatus.COMPLETED:
        return _commit(_change(delivery, head, whole, before_end(delivery.events), heir, message.reason, False))
    result = getattr(whole.ended, "result")  # noqa: B009
    return _tell(delivery, head, SubOrchestrationResult(execution=heir.execution, seq=heir.seq, result=result), heir)


def answer_of_a_stranger(message: Rewind, answers: Parent | None, instance: str) -> Outgoing | None:
    """What an instance tells a parent whose child it is not: it only has that id. None: it is the child."""
    heir = _heir(message)
    if answers == heir or message.is_for(answers):
        return None
    failure = Failure(TAKEN, f"the sub-orchestration's instance id {instance!r} is taken")
    return Outgoing(heir.instance, SubOrchestrationFailure(execution=heir.execution, seq=heir.seq, failure=failure))


def _heir(message: Rewind) -> Parent:
    return msgspec.structs.replace(message.parent, execution=message.heir)


def _tell(delivery: Delivery, head: str, message: Message | StartExecution, parent: Parent) -> TurnCommit:
    return TurnCommit(
        entry=delivery.entry,
        expected=delivery.head,
        head=head,
        execution=delivery.execution,
        outbox=(Outgoing(parent.instance, message),),
    )


def _folded(events: Sequence[Event]) -> State:
    state = State()
    state.fold(events)
    return state


def _change(
    delivery: Delivery, head: str, whole: State, place: Place, parent: Parent | None, reason: str, reset: bool
) -> _Change:
    kept = _folded(delivery.events[: place.kept])
    return _Change(delivery, head, whole, kept, place, parent, reason, reset)


def _commit(change: _Change) -> TurnCommit:
    delivery, whole = change.delivery, change.whole
    live = whole.ended is None
    calls = tuple(seq for seq, made in whole.open.items() if isinstance(made, ActivityScheduled)) if live else ()
    deadline = (DEADLINE,) if whole.started is not None and whole.started.deadline else ()
    ended = ExecutionContinuedAsNew(at=change.now, commit=change.head, next=change.execution)
    start, kept = _next(change)
    return TurnCommit(
        entry=delivery.entry,
        expected=delivery.head,
        head=change.head,
        execution=delivery.execution,
        name=delivery.name,
        start_consumed=delivery.start is not None,
        events=(ended,) if live else (),
        status=RuntimeStatus.RUNNING,
        canceled_timers=(*whole.open_timers(), *deadline) if live else (),
        closed_calls=calls,
        canceled_calls=calls,
        outbox=(*_to_kept_children(change), *(_to_dropped_children(change) if live else ())),
        next=start,
        kept=kept,
        heard=delivery.heard,
    )


def _next(change: _Change) -> tuple[StartExecution, Kept | None]:
    """The start message of the next execution, and the beginning of its history."""
    started, place, whole = change.whole.started, change.place, change.whole
    assert started is not None
    pending = change.delivery.start.rewound if change.delivery.start else None
    next_seq = max(whole.next_seq, pending.next_seq if pending else 0)
    # Whoever was given a time has as much of it again.
    deadline = change.now + started.deadline - started.at if started.deadline else 0
    rewound = Rewound(
        previous=change.delivery.execution,
        kept=place.kept,
        next_seq=next_seq,
        reason=change.reason,
        reset=change.reset,
        parent=change.parent,
        mail=place.mail,
    )
    trace = continued(started.trace, started.execution)
    start = StartExecution(
        execution=change.execution,
        name=started.name,
        call=started.call,
        parent=change.parent,
        tags=started.tags,
        memo=started.memo,
        number=started.number,
        first_seq=next_seq,
        kept_events=started.kept_events,
        event_ids=started.event_ids,
        deadline=deadline,
        rewound=rewound,
        trace=trace,
    )
    origin = started.origin or started.execution
    first = msgspec.structs.replace(
        started,
        execution=change.execution,
        deadline=deadline,
        origin=origin,
        before=(*started.before, started.execution),
        trace=trace,
    )
    return start, Kept(place.kept, first) if place.kept else None


def _to_kept_children(change: _Change) -> Iterator[Outgoing]:
    """A child whose call is kept and open is asked to answer the next execution. One that is not there, because it was
    purged, or because its id was taken, is started; where there is one, that start means nothing."""
    instance = change.delivery.entry.instance
    answered = {getattr(message, "seq", None) for message in change.place.mail}
    for seq, made in change.kept.open.items():
        if not isinstance(made, SubOrchestrationScheduled) or seq in answered:
            continue
        heir = Parent(instance, change.execution, seq)
        asked = Rewind(
            parent=msgspec.structs.replace(heir, execution=change.whole.execution),
            heir=change.execution,
            reason=change.reason,
            before=change.kept.started.before if change.kept.started else (),
        )
        yield Outgoing(made.instance, _start_of(change, made, heir), (instance, _to_nobody(change, seq)))
        yield Outgoing(made.instance, asked, (instance, _of_nobody(made, heir)))


def _to_nobody(change: _Change, seq: int) -> SubOrchestrationFailure:
    """What is said of a start that finds an instance: to an execution that is over, so nobody hears it."""
    failure = Failure(TAKEN, "it is asked to go on")
    return SubOrchestrationFailure(execution=change.whole.execution, seq=seq, failure=failure)


def _of_nobody(made: SubOrchestrationScheduled, heir: Parent) -> SubOrchestrationFailure:
    """What the next execution hears when the child was there for its start, and is not any more."""
    text = f"the sub-orchestration {made.instance!r} was purged before it could go on: rewound again, it begins anew"
    return SubOrchestrationFailure(execution=heir.execution, seq=heir.seq, failure=Failure(GONE, text))


def _start_of(change: _Change, made: SubOrchestrationScheduled, parent: Parent) -> StartExecution:
    return StartExecution(
        execution=f"{change.head}.{made.seq}",
        name=made.name,
        call=made.call,
        parent=parent,
        tags=made.tags,
        memo=made.memo,
        not_before=made.not_before,
        execution_timeout=made.execution_timeout,
    )


def _to_dropped_children(change: _Change) -> Iterator[Outgoing]:
    """A child that runs, and whose call is no more, ends as the call said for the case that its parent ends."""
    for seq, made in change.whole.open.items():
        if not isinstance(made, SubOrchestrationScheduled) or seq in change.kept.open:
            continue
        parent = Parent(change.delivery.entry.instance, change.whole.execution, seq)
        if made.parent_close is ParentClose.TERMINATE:
            yield Outgoing(made.instance, Terminate(reason=PARENT_RESET, parent=parent))
        elif made.parent_close is ParentClose.CANCEL:
            message = Cancel(reason=PARENT_RESET, id=f"{parent.execution}:{seq}", parent=parent)
            yield Outgoing(made.instance, message)
