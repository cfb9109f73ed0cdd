"""What a committed batch amounts to, as facts. Called only while somebody listens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from redurable.core.delivery import Outcome, Receipt
from redurable.core.events import (
    ActivityCompleted,
    EventRaised,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
)
from redurable.core.sizes import call_size
from redurable.core.values import RuntimeStatus
from redurable.facts import (
    READY,
    CacheEvicted,
    CommitsConflicted,
    DeadLettered,
    Facts,
    InstancesFinished,
    InstancesStarted,
    MessagesEnded,
    PayloadsMoved,
    PayloadsRejected,
    QuarantineEnded,
    TurnParked,
    TurnsTaken,
    TurnTaken,
)
from redurable.worker.spans import tell_turns
from redurable.worker.turn_thread import Taken

REJECTED = {"InvalidPayload": "invalid_payload", "TurnLimitExceeded": "turn_limit"}
"""Types of failures that say so -> the reason in `PayloadsRejected`."""

_APPLIED = (Outcome.ACCEPTED, Outcome.ALREADY_APPLIED)


def report_turns(facts: Facts, turns: Sequence[Taken], receipts: Sequence[Receipt]) -> None:
    """Announce what these turns were and what they made true."""
    results = [(taken, _result(taken, receipt)) for taken, receipt in zip(turns, receipts, strict=True)]
    facts.announce(TurnsTaken(tuple(told(taken, result) for taken, result in results)))
    _report_parked(facts, [taken for taken, result in results if result == "parked"])
    healed = tuple(taken.turn.name for taken, result in results if result == "ok" and taken.heals)
    if healed:
        facts.announce(QuarantineEnded(healed))
    _report_receipts(facts, receipts)
    _report_written(
        facts, [taken for taken, receipt in zip(turns, receipts, strict=True) if receipt.outcome in _APPLIED]
    )


def told(taken: Taken, result: str) -> TurnTaken:
    """A turn, as facts tell it."""
    delivery, written = taken.delivery, len(taken.turn.commit.events)
    replay = "begun"
    if delivery.base or delivery.events:
        replay = "cached" if taken.started and delivery.base else "replayed"
    events = delivery.base + len(delivery.events) + written if written and result == "ok" else 0
    name, instance, waited, trace_id = taken.turn.name, delivery.entry.instance, _waited(taken), _trace_id(taken)
    return TurnTaken(name, instance, result, taken.seconds, replay, events, waited, trace_id, taken.filled)


def _waited(taken: Taken) -> float:
    """Since the ready entry came, where its id says when that was: as those of Redis do."""
    came, dash, rest = taken.delivery.entry.id.partition("-")
    if not (dash and came.isdecimal() and rest.isdecimal()):
        return -1.0
    return max(0, taken.delivery.now - int(came)) / 1000


def _report_receipts(facts: Facts, receipts: Sequence[Receipt]) -> None:
    counts = Counter(receipt.outcome for receipt in receipts)
    fenced, again, failed = counts[Outcome.FENCED], counts[Outcome.ALREADY_APPLIED], counts[Outcome.FAILED]
    facts.announce(MessagesEnded(((READY, len(receipts) - fenced - again - failed, again),)))
    if fenced:
        facts.announce(CommitsConflicted("fenced", fenced))
    if again:
        facts.announce(CommitsConflicted("duplicate", again))


def _report_written(facts: Facts, applied: Sequence[Taken]) -> None:
    tell_turns(facts, applied)
    starts = tuple(start for taken in applied for start in _starts(taken))
    if starts:
        facts.announce(InstancesStarted(starts))
    ends = tuple(end for taken in applied for end in _ends(taken))
    if ends:
        facts.announce(InstancesFinished(ends))
    sizes = tuple(size for taken in applied for size in _sizes(taken))
    if sizes:
        facts.announce(PayloadsMoved(sizes))
    rejected = Counter(reason for taken in applied for reason in _rejections(taken))
    for reason, count in rejected.items():
        facts.announce(PayloadsRejected(reason, count))
    dead = Counter(letter.reason for taken in applied for letter in taken.turn.commit.dead)
    for reason, count in dead.items():
        facts.announce(DeadLettered("finished" if reason.endswith("finished") else "malformed", count))


def _trace_id(taken: Taken) -> str:
    trace = taken.turn.started.trace if taken.turn.started is not None else None
    return "" if trace is None else trace.trace_id


def _result(taken: Taken, receipt: Receipt) -> str:
    if receipt.outcome is Outcome.FENCED:
        return "fenced"
    if receipt.outcome is Outcome.FAILED:
        return "failed"
    return "ok" if taken.turn.commit.park is None else "parked"


def _report_parked(facts: Facts, parked: Sequence[Taken]) -> None:
    for taken in parked:
        park = taken.turn.commit.park
        if park is not None:
            instance = taken.delivery.entry.instance
            first = not taken.delivery.parks or park.retry_ms is None
            facts.announce(TurnParked(taken.turn.name, instance, park.reason, park.detail, first))
    evicted = sum(1 for taken in parked if taken.started)
    if evicted:
        facts.announce(CacheEvicted("parked", evicted))


def _starts(taken: Taken) -> Iterator[tuple[str, str]]:
    for event in taken.turn.commit.events[:1]:
        if isinstance(event, ExecutionStarted):
            first = "child" if event.parent is not None else "client"
            yield taken.turn.name, first if event.number == 1 else "continue_as_new"


def _sizes(taken: Taken) -> Iterator[tuple[str, int]]:
    """The payloads that a turn wrote."""
    commit = taken.turn.commit
    for event in commit.events:
        match event:
            case ActivityCompleted(result=result):
                yield "activity_result", memoryview(result).nbytes
            case EventRaised(data=data):
                yield "event", memoryview(data).nbytes
            case ExecutionStarted(call=call):
                yield "input", call_size(call)
            case ExecutionCompleted(result=result):
                yield "result", memoryview(result).nbytes
            case _:
                pass
    for task in commit.tasks:
        yield "activity_input", call_size(task.call)


def _rejections(taken: Taken) -> Iterator[str]:
    for event in taken.turn.commit.events[-1:]:
        if isinstance(event, ExecutionFailed) and event.failure.type in REJECTED:
            yield REJECTED[event.failure.type]


def _ends(taken: Taken) -> Iterable[tuple[str, str, float, str, str]]:
    """How the execution ended in this turn, if it did, and how many seconds after its start."""
    commit = taken.turn.commit
    if not commit.events:
        return
    status = RuntimeStatus.CONTINUED_AS_NEW if commit.next is not None else commit.status
    if status is None or not (commit.next is not None or status.finished):
        return
    started = taken.started or (taken.delivery.events or commit.events)[0].at
    seconds = max(0, commit.events[-1].at - started) / 1000
    yield taken.turn.name, status.value, seconds, taken.delivery.entry.instance, _trace_id(taken)
