"""Metrics of messages, timers and leases."""

from __future__ import annotations

from typing import Final, get_args

from redurable import facts
from redurable.store.routing import Grievance
from redurable.telemetry.metrics.board import STREAM, Board, Handlers, Label, Metric, counter, histogram

BATCH_BUCKETS = (1, 2, 5, 10, 25, 50, 100)
LATENESS_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300)
REASONS: tuple[str, ...] = (*get_args(Grievance), "intake", "answers")

TABLE: Final[tuple[Metric, ...]] = (
    counter("messages_read", "Messages that came from a stream.", STREAM),
    counter("messages_acked", "Messages that are done with.", STREAM),
    counter("messages_reclaimed", "Messages taken over whose holder had fallen silent.", STREAM),
    counter("messages_deduplicated", "Messages ended here that somebody had ended before.", STREAM),
    counter("polls", "Times that a stream was asked for messages.", STREAM, Label("result", ("hit", "empty", "error"))),
    histogram("poll_batch_messages", "How many messages came at once, where any came.", BATCH_BUCKETS, STREAM),
    counter(
        "messages_deadlettered", "Messages that nobody could take, where their kind is known.", Label("reason", REASONS)
    ),
    counter("messages_relayed", "Messages handed on.", Label("via", ("outbox", "intake", "answers"))),
    counter(
        "unclaimed_events",
        "Events for instances that do not exist.",
        Label("outcome", ("kept", "dropped", "buried")),
    ),
    counter("event_backlogs", "Times that too many events of a name waited unread."),
    counter("timers_fired", "Durable timers that fired."),
    histogram("timer_lateness_seconds", "How late timers fired.", LATENESS_BUCKETS),
    counter("leases_reclaimed", "Leases taken over from silent workers.", Label("kind", ("instance", "task"))),
    counter(
        "lease_operations",
        "Leases in calls of the store. Lost: somebody else has them by now.",
        Label("op", ("renew", "reclaim", "recover", "hand_over")),
        Label("result", ("ok", "lost")),
    ),
    counter("instances_swept", "Instances with mail that nobody had been told of."),
)

POLLS = {"receive": facts.READY, "route": facts.INTAKE, "hear": facts.ANSWERS, "receive_handed": facts.HANDED}
"""Verbs that ask for messages -> the stream that they ask; `receive_tasks` asks all task queues."""


class Messages:
    """Counts what moves."""

    def __init__(self, board: Board) -> None:
        self._queues = tuple(sorted(board.names.queues))
        made = board.made(TABLE)
        self._read, self._acked, self._reclaimed, self._again = next(made), next(made), next(made), next(made)
        self._polls, self._batches, self._dead, self._relayed = next(made), next(made), next(made), next(made)
        self._unclaimed, self._piled_up, self._fired, self._late = next(made), next(made), next(made), next(made)
        self._leases, self._handled, self._swept = made

    def handlers(self) -> Handlers:
        """Fact -> what counts it."""
        return {
            facts.Polled: self._on_polled,
            facts.MessagesEnded: self._on_ended,
            facts.MessagesReclaimed: self._on_reclaimed,
            facts.StoreFaulted: self._on_fault,
            facts.DeadLettered: lambda fact: self._dead.add(fact.count, fact.reason),
            facts.MessagesRelayed: lambda fact: self._relayed.add(fact.count, fact.via),
            facts.EventsUnclaimed: lambda fact: self._unclaimed.add(fact.count, fact.outcome),
            facts.EventsPiledUp: lambda fact: self._piled_up.add(1),
            facts.TimersFired: self._on_timers,
            facts.LeasesReclaimed: lambda fact: self._leases.add(fact.count, fact.kind),
            facts.LeasesHandled: self._on_leases,
            facts.InstancesSwept: lambda fact: self._swept.add(fact.count),
        }

    def _on_polled(self, fact: facts.Polled) -> None:
        for queue, count in fact.queues:
            self._polls.add(1, queue, "hit" if count else "empty")
            if count:
                self._read.add(count, queue)
                self._batches.observe(count, queue)

    def _on_ended(self, fact: facts.MessagesEnded) -> None:
        for queue, count, late in fact.queues:
            self._acked.add(count, queue)
            self._again.add(late, queue)

    def _on_reclaimed(self, fact: facts.MessagesReclaimed) -> None:
        for queue, count in fact.queues:
            self._reclaimed.add(count, queue)

    def _on_fault(self, fact: facts.StoreFaulted) -> None:
        asked = self._queues if fact.verb == "receive_tasks" else ()
        if fact.verb in POLLS:
            asked = (POLLS[fact.verb],)
        for queue in asked:
            self._polls.add(1, queue, "error")

    def _on_timers(self, fact: facts.TimersFired) -> None:
        self._fired.add(len(fact.lateness))
        for seconds in fact.lateness:
            self._late.observe(seconds)

    def _on_leases(self, fact: facts.LeasesHandled) -> None:
        self._handled.add(fact.ok, fact.op, "ok")
        self._handled.add(fact.lost, fact.op, "lost")
