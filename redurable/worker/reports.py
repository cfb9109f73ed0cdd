"""What a committed batch amounts to, as facts. Called only while somebody listens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from redurable.core.delivery import Outcome, Receipt
from redurable.core.events import ExecutionStarted
from redurable.core.values import RuntimeStatus
from redurable.facts import (
    CacheEvicted,
    DeadLettered,
    Facts,
    InstancesFinished,
    InstancesStarted,
    QuarantineEnded,
    TurnParked,
    TurnsTaken,
)
from redurable.worker.spans import tell_turns
from redurable.worker.turn_thread import Taken

_APPLIED = (Outcome.ACCEPTED, Outcome.ALREADY_APPLIED)


def report_turns(facts: Facts, turns: Sequence[Taken], receipts: Sequence[Receipt]) -> None:
    """Announce what these turns were and what they made true."""
    results = [(taken, _result(taken, receipt)) for taken, receipt in zip(turns, receipts, strict=True)]
    facts.announce(
        TurnsTaken(tuple((taken.turn.name, result, taken.seconds) for taken, result in results), _trace_ids(turns))
    )
    _report_parked(facts, [taken for taken, result in results if result == "parked"])
    healed = tuple(taken.turn.name for taken, result in results if result == "ok" and taken.heals)
    if healed:
        facts.announce(QuarantineEnded(healed))
    applied = [taken for taken, receipt in zip(turns, receipts, strict=True) if receipt.outcome in _APPLIED]
    tell_turns(facts, applied)
    names = tuple(taken.turn.name for taken in applied for event in taken.turn.commit.events if _starts(event))
    if names:
        facts.announce(InstancesStarted(names))
    ends = tuple(end for taken in applied for end in _ends(taken))
    if ends:
        facts.announce(InstancesFinished(ends))
    dead = Counter(letter.reason for taken in applied for letter in taken.turn.commit.dead)
    for reason, count in dead.items():
        facts.announce(DeadLettered("finished" if reason.endswith("finished") else "malformed", count))


def _trace_ids(turns: Sequence[Taken]) -> tuple[str, ...]:
    traces = [taken.turn.started.trace if taken.turn.started is not None else None for taken in turns]
    return tuple("" if trace is None else trace.trace_id for trace in traces) if any(traces) else ()


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


def _starts(event: object) -> bool:
    return isinstance(event, ExecutionStarted)


def _ends(taken: Taken) -> Iterable[tuple[str, str, float]]:
    """How the execution ended in this turn, if it did, and how many seconds after its start."""
    commit = taken.turn.commit
    if not commit.events:
        return
    status = RuntimeStatus.CONTINUED_AS_NEW if commit.next is not None else commit.status
    if status is None or not (commit.next is not None or status.finished):
        return
    started = taken.started or (taken.delivery.events or commit.events)[0].at
    yield taken.turn.name, status.value, max(0, commit.events[-1].at - started) / 1000
