"""What the answers of the store's verbs amount to, as facts. Called only while somebody listens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from redurable.core.delivery import Entry
from redurable.facts import ANSWERS, INTAKE, READY, Facts, LeasesHandled, MessagesEnded, MessagesReclaimed, Polled
from redurable.store.hearing import Heard
from redurable.store.port import Lost, Reclaimed, TaskDemand, TaskLease
from redurable.store.routing import Routed


def polled(facts: Facts, queue: str, count: int) -> None:
    """One stream was asked for messages."""
    facts.announce(Polled(((queue, count),)))


def tasks_polled(facts: Facts, demand: TaskDemand | None, tasks: Sequence[TaskLease]) -> None:
    """Task queues were asked for work."""
    if demand is None or not demand.count:
        return
    counts = Counter(lease.queue for lease in tasks)
    facts.announce(Polled(tuple((queue, counts[queue]) for queue in demand.queues)))


def delivered(facts: Facts, queue: str, count: int) -> None:
    """Messages of one of the runtime's streams were read, and are done with."""
    if count:
        facts.announce(MessagesEnded(((queue, count, 0),)))


def routed(facts: Facts, answer: Routed) -> None:
    """A step of the intake."""
    count = answer.delivered + len(answer.dead)
    polled(facts, INTAKE, count)
    delivered(facts, INTAKE, count)


def heard(facts: Facts, answer: Heard) -> None:
    """Answers of foreign workers were read."""
    polled(facts, ANSWERS, len(answer.answers) + answer.heartbeats + answer.dead)


def reclaimed(facts: Facts, op: str, answer: Reclaimed) -> None:
    """Leases were taken over, or found again."""
    count = len(answer.entries) + len(answer.tasks)
    if not count:
        return
    facts.announce(LeasesHandled(op, count))
    queues = Counter(lease.queue for lease in answer.tasks)
    if answer.entries:
        queues[READY] = len(answer.entries)
    if op == "reclaim":
        facts.announce(MessagesReclaimed(tuple(queues.items())))


def renewed(facts: Facts, entries: Sequence[Entry], tasks: Iterable[TaskLease], answer: Lost) -> None:
    """Leases were renewed."""
    lost = len(answer.entries) + len(answer.tasks)
    facts.announce(LeasesHandled("renew", len(entries) + len(list(tasks)) - lost, lost))
