"""Metrics of instances and their turns."""

from __future__ import annotations

from typing import Final

from redurable import facts
from redurable.core import turn
from redurable.core.values import RuntimeStatus
from redurable.telemetry.metrics.board import TYPE, Board, Handlers, Label, Metric, counter, histogram

TURN_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
INSTANCE_BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 36_000, 86_400, 604_800)
HISTORY_BUCKETS = (10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000)
CAP_BUCKETS = (0.1, 0.2, 0.5, 0.8, 0.9, 1)
PAYLOAD_BUCKETS = (256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304)

FINISHED = tuple(status.value for status in RuntimeStatus if status.finished)
PARKED = (turn.NONDETERMINISM, turn.UNKNOWN, turn.POISON, turn.UNREADABLE, turn.ENGINE_ERROR)
PAYLOADS = ("input", "result", "event", "activity_input", "activity_result")

TABLE: Final[tuple[Metric, ...]] = (
    counter(
        "instances_started",
        "Executions that took their first turn.",
        TYPE,
        Label("trigger", ("client", "child", "continue_as_new")),
    ),
    counter(
        "instances_finished",
        "Executions that ended.",
        TYPE,
        Label("status", (*FINISHED, RuntimeStatus.CONTINUED_AS_NEW.value)),
    ),
    histogram("instance_duration_seconds", "From the first turn of an execution to its end.", INSTANCE_BUCKETS, TYPE),
    counter("instances_purged", "Finished instances that were deleted.", Label("status", FINISHED)),
    counter("turns", "Turns taken.", TYPE, Label("result", ("ok", "fenced", "parked", "failed", "handed"))),
    histogram("turn_duration_seconds", "How long turns took in code, without the store.", TURN_BUCKETS, TYPE),
    histogram("replay_duration_seconds", "How long turns took that began by replaying a history.", TURN_BUCKETS, TYPE),
    histogram("history_events", "How long histories were after a turn that wrote to them.", HISTORY_BUCKETS, TYPE),
    histogram(
        "history_cap_ratio",
        "Which fraction of its cap the history of an execution that goes on had reached, in events or in bytes.",
        CAP_BUCKETS,
        TYPE,
    ),
    counter("nondeterminism_errors", "Instances quarantined because their code disagrees with their history.", TYPE),
    counter("quarantines", "Instances quarantined.", TYPE, Label("reason", PARKED)),
    counter("quarantines_ended", "Quarantined instances that took a turn.", TYPE),
    histogram(
        "payload_bytes", "How large the payloads were that turns wrote.", PAYLOAD_BUCKETS, Label("kind", PAYLOADS)
    ),
    counter(
        "payload_rejected",
        "Payloads that were too large, or did not fit their type, and failed an activity or an execution.",
        Label("reason", ("invalid_payload", "turn_limit")),
    ),
    counter("commit_conflicts", "Commits that changed nothing.", Label("reason", ("fenced", "duplicate"))),
    counter("cache_hits", "Turns that found the replay of their instance in memory."),
    counter("cache_misses", "Turns that had to replay a history."),
    counter("cache_evictions", "Replays that left the memory.", Label("reason", ("full", "fenced", "parked"))),
)


class Instances:
    """Counts what becomes of instances."""

    def __init__(self, board: Board) -> None:
        made = board.made(TABLE)
        self._started, self._finished, self._lived, self._purged = next(made), next(made), next(made), next(made)
        self._turns, self._turned, self._replayed, self._events = next(made), next(made), next(made), next(made)
        self._filled = next(made)
        self._parted, self._parked, self._healed = next(made), next(made), next(made)
        self._sizes, self._rejected, self._conflicts = next(made), next(made), next(made)
        self._hits, self._misses, self._evicted = made

    def handlers(self) -> Handlers:
        """Fact -> what counts it."""
        return {
            facts.InstancesStarted: self._on_started,
            facts.InstancesFinished: self._on_finished,
            facts.InstancesPurged: self._on_purged,
            facts.TurnsTaken: self._on_turns,
            facts.TurnParked: self._on_parked,
            facts.QuarantineEnded: self._on_healed,
            facts.PayloadsMoved: self._on_payloads,
            facts.PayloadsRejected: self._on_rejected,
            facts.CommitsConflicted: self._on_conflicts,
            facts.CacheEvicted: self._on_evicted,
        }

    def _on_started(self, fact: facts.InstancesStarted) -> None:
        for name, trigger in fact.starts:
            self._started.add(1, name, trigger)

    def _on_finished(self, fact: facts.InstancesFinished) -> None:
        for name, status, seconds, instance, trace_id in fact.ends:
            self._finished.add(1, name, status)
            self._lived.observe(seconds, name, of=instance, trace=trace_id)

    def _on_purged(self, fact: facts.InstancesPurged) -> None:
        for status, count in fact.purged:
            self._purged.add(count, status)

    def _on_turns(self, fact: facts.TurnsTaken) -> None:
        hits = misses = 0
        for taken in fact.turns:
            name = taken.name
            self._turns.add(1, name, taken.result)
            whose, trace = taken.instance, taken.trace_id
            self._turned.observe(taken.seconds, name, of=whose, trace=trace)
            if taken.replay == "replayed":
                misses += 1
                self._replayed.observe(taken.seconds, name, of=whose, trace=trace)
            elif taken.replay == "cached":
                hits += 1
            if taken.events:
                self._events.observe(taken.events, name, of=whose, trace=trace)
            if taken.filled:
                self._filled.observe(taken.filled, name, of=whose, trace=trace)
        self._hits.add(hits)
        self._misses.add(misses)

    def _on_parked(self, fact: facts.TurnParked) -> None:
        if not fact.first:
            return
        self._parked.mark(fact.instance, fact.name, fact.reason)
        if fact.reason == turn.NONDETERMINISM:
            self._parted.mark(fact.instance, fact.name)

    def _on_healed(self, fact: facts.QuarantineEnded) -> None:
        for name in fact.names:
            self._healed.add(1, name)

    def _on_payloads(self, fact: facts.PayloadsMoved) -> None:
        for kind, size in fact.sizes:
            self._sizes.observe(size, kind)

    def _on_rejected(self, fact: facts.PayloadsRejected) -> None:
        self._rejected.add(fact.count, fact.reason)

    def _on_conflicts(self, fact: facts.CommitsConflicted) -> None:
        self._conflicts.add(fact.count, fact.reason)

    def _on_evicted(self, fact: facts.CacheEvicted) -> None:
        self._evicted.add(fact.count, fact.reason)
