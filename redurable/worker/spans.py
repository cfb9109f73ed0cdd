"""Stretches of traced work that are over, as facts: of committed turns, and of attempts that nobody watched.

Built from what was committed, so each is told of once, by whoever committed it; a turn that was fenced, or is taken
again from the history, tells of none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from redurable.core.events import (
    Event,
    EventRaised,
    EventSent,
    ExecutionFailed,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    OrchestrationScheduled,
    SubOrchestrationCompleted,
    SubOrchestrationFailed,
    TimerCreated,
    TimerFired,
)
from redurable.core.messages import ActivityFailure
from redurable.core.traces import Attempted, below, span_id
from redurable.core.trail import Over
from redurable.core.values import Failure, RuntimeStatus, Trace
from redurable.facts import Facts, Span, SpansEnded
from redurable.store.port import TaskEnd, TaskLease
from redurable.worker.ends import Ended
from redurable.worker.turn_thread import Taken

UNWATCHED = ("crashed", "timeout")
"""Outcomes of attempts that ended without their worker, or without ever having begun."""


def tell_turns(facts: Facts, committed: Iterable[Taken]) -> None:
    """Announce what was over with these turns."""
    spans = tuple(span for taken in committed for span in _spans_of(taken))
    if spans:
        facts.announce(SpansEnded(spans))


def end_attempts(facts: Facts, batch: Iterable[Ended], accepted: Iterable[bool], now: float) -> None:
    """End the spans of these attempts as they were accepted; announce those that had none here. What was not accepted
    is told of by who did what was."""
    spans: list[Span] = []
    for ended, counts in zip(batch, accepted, strict=True):
        if not counts:
            continue
        if ended.span is not None:
            ended.span.end(ended.outcome, _failure_of(ended.end), ended.seconds)
        elif ended.end.lease.task.trace is not None and ended.outcome in UNWATCHED:
            spans.append(_unwatched(ended, ended.end.lease.task.trace, now))
    if spans:
        facts.announce(SpansEnded(tuple(spans)))


def _spans_of(taken: Taken) -> Iterator[Span]:
    started, commit = taken.turn.started, taken.turn.commit
    if started is None or started.trace is None or not commit.events:
        return
    instance = taken.delivery.entry.instance
    own = below(started.trace, span_id(started.execution))
    base: dict[str, str | int] = {"instance_id": instance, "execution": started.execution}
    yield from _moments(commit.events, own, base)
    for over in taken.turn.over:
        yield _call(over, own, base, commit.events[-1].at)
    status = RuntimeStatus.CONTINUED_AS_NEW if commit.next is not None else commit.status
    if status is RuntimeStatus.CONTINUED_AS_NEW or (status is not None and status.finished):
        yield _execution(started, started.trace, base, commit.events[-1], status)


def _span_of_attempt(lease: TaskLease) -> str:
    """The id of the span of the attempt that this lease is for; whoever tells of it, it has this one."""
    return span_id(lease.task.idempotency_key, lease.task.attempt, lease.id)


def attempted(lease: TaskLease, trace: Trace, worker: str, now: float) -> Attempted:
    """An attempt that this worker begins, or whose end it tells of."""
    task = lease.task
    fields: dict[str, str | int] = {
        "instance_id": task.instance,
        "execution": task.execution,
        "seq": task.seq,
        "attempt": task.attempt,
        "task_queue": lease.queue,
        "worker": worker,
    }
    return Attempted(trace, _span_of_attempt(lease), now, task.name, fields)


def _unwatched(ended: Ended, trace: Trace, now: float) -> Span:
    lease = ended.end.lease
    told = attempted(lease, trace, lease.holder, lease.queued_at)
    return Span(
        kind="activity",
        name=told.name,
        id=told.span,
        traceparent=trace.traceparent,
        tracestate=trace.tracestate,
        begun=told.begun,
        ended=_last_ms(ended.end, now),
        outcome=ended.outcome,
        failure=_told(_failure_of(ended.end)),
        fields=told.fields,
    )


def _failure_of(end: TaskEnd) -> Failure | None:
    """What went wrong in the attempt, if anything did."""
    if isinstance(end.message, ActivityFailure):
        return end.message.failure
    return end.retry.log[-1].failure if end.retry is not None and end.retry.log else None


def _last_ms(end: TaskEnd, now: float) -> float:
    """When the attempt was over: the next one may have begun since."""
    return end.retry.log[-1].ended if end.retry is not None and end.retry.log else now


def _moments(events: Iterable[Event], own: Trace, base: dict[str, str | int]) -> Iterator[Span]:
    """What has no duration."""
    for event in events:
        match event:
            case EventRaised():
                link = "" if event.trace is None else event.trace.traceparent
                yield _span(own, base, "event", event.name, begun=event.at, ended=event.at, link=link)
            case EventSent():
                fields = {**base, "seq": event.seq, "target_instance_id": event.instance}
                sent = span_id(base["execution"], event.seq)
                yield _span(own, fields, "orchestration_event", event.name, sent, begun=event.at, ended=event.at)
            case OrchestrationScheduled():
                fields = {**base, "seq": event.seq, "target_instance_id": event.instance}
                made = span_id(base["execution"], event.seq)
                yield _span(own, fields, "create_orchestration", event.name, made, begun=event.at, ended=event.at)
            case ExecutionSuspended() | ExecutionResumed():
                kind = "suspended" if isinstance(event, ExecutionSuspended) else "resumed"
                yield _span(own, base, kind, event.reason, begun=event.at, ended=event.at)
            case _:
                pass


def _call(over: Over, own: Trace, base: dict[str, str | int], end: int) -> Span:
    """A timer or a child, from when it was asked for to when it was over."""
    made, event = over
    fields: dict[str, str | int] = {**base, "seq": made.seq}
    span = span_id(base["execution"], made.seq)
    ended = end if event is None else event.at
    if isinstance(made, TimerCreated):
        outcome = "fired" if isinstance(event, TimerFired) else "canceled"
        return _span(own, {**fields, "due": made.due}, "timer", "", span, outcome, begun=made.at, ended=ended)
    fields["target_instance_id"] = made.instance
    outcome, failure = "canceled" if event is not None else "left", None
    if isinstance(event, SubOrchestrationCompleted):
        outcome = "completed"
    elif isinstance(event, SubOrchestrationFailed):
        outcome, failure = "failed", event.failure
    return _span(own, fields, "sub_orchestration", made.name, span, outcome, failure, begun=made.at, ended=ended)


def _execution(
    started: ExecutionStarted, trace: Trace, base: dict[str, str | int], end: Event, status: RuntimeStatus
) -> Span:
    failure = end.failure if isinstance(end, ExecutionFailed) else None
    link = f"{trace.traceparent[:36]}{trace.link}{trace.traceparent[52:]}" if trace.link else ""
    return _span(
        trace,
        {**base, "execution_number": started.number},
        "orchestration",
        started.name,
        span_id(started.execution),
        status.value,
        failure,
        begun=started.at,
        ended=end.at,
        link=link,
    )


def _span(
    trace: Trace,
    fields: dict[str, str | int],
    kind: str,
    name: str,
    span: str = "",
    outcome: str = "",
    failure: Failure | None = None,
    *,
    begun: int,
    ended: int,
    link: str = "",
) -> Span:
    return Span(
        kind=kind,
        name=name,
        id=span,
        traceparent=trace.traceparent,
        tracestate=trace.tracestate,
        begun=begun,
        ended=ended,
        outcome=outcome,
        failure=_told(failure),
        link=link,
        fields=fields,
    )


def _told(failure: Failure | None) -> tuple[str, str, str] | None:
    return None if failure is None else (failure.type, failure.message, failure.stack)
