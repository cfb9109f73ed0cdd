"""Makes a batch of turns true in one step of the store, and hands on what follows from it.

The same step receives tasks for the free activity slots of this worker: one round trip instead of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from redurable.core.delivery import Delivery, Outcome, Park, Position, Receipt
from redurable.facts import EventsPiledUp
from redurable.store.port import Committed, Completed, TaskDemand, TaskEnd
from redurable.worker.activities import Activities
from redurable.worker.common import Common, about, log
from redurable.worker.outbox import Outbox
from redurable.worker.reports import report_turns
from redurable.worker.retention import Retention
from redurable.worker.timers import Timers
from redurable.worker.turn_thread import Taken

PILE = 100
"""So many events of one name may wait unread in an instance before that is told."""


class Commits:
    """The last step of a turn, and the first of all that it asked for. `activities` is None where none are run."""

    def __init__(
        self, common: Common, timers: Timers, outbox: Outbox, retention: Retention, activities: Activities | None
    ) -> None:
        self._common = common
        self._timers = timers
        self._outbox = outbox
        self._retention = retention
        self._activities = activities

    async def apply(self, turns: Sequence[Taken]) -> tuple[Receipt, ...]:
        """Commit these turns; return the store's answers in their order."""
        commits = [taken.turn.commit for taken in turns]
        with self._demand() as demand:
            committed = await self._common.store.commit(commits, demand)
        self._conclude(turns, committed)
        return committed.receipts

    async def complete(
        self,
        ends: Sequence[TaskEnd],
        turns: Sequence[Taken],
        known: Sequence[Position | None],
        count: int,
        partitions: Sequence[int],
    ) -> Completed:
        """End attempts, and commit the turns that were decided ahead from some of these ends, in their order."""
        if not turns:
            completed = await self._common.store.complete(ends, known, count, partitions)
            self._timers.add(completed.timers)
            return completed
        with self._demand() as demand:
            completed = await self._common.store.complete(ends, known, count, partitions, demand)
        self._conclude(turns, completed)
        return completed

    def _demand(self) -> AbstractContextManager[TaskDemand | None]:
        if self._activities is None or not self._common.reception.open:
            return nullcontext()
        return self._activities.slots.reserve()

    def _conclude(self, turns: Sequence[Taken], done: Committed | Completed) -> None:
        if self._activities is not None:
            self._activities.begin(done.tasks)
        self._timers.add(done.timers)
        self._hand_on(turns, done.receipts)
        if self._common.facts.listening:
            report_turns(self._common.facts, turns, done.receipts)

    def _hand_on(self, turns: Sequence[Taken], receipts: Sequence[Receipt]) -> None:
        for taken, receipt in zip(turns, receipts, strict=True):
            commit, entry = taken.turn.commit, taken.delivery.entry
            if receipt.outcome in (Outcome.FENCED, Outcome.FAILED):
                continue
            if commit.outbox or commit.dead:
                self._outbox.touch(entry.partition)
            if commit.next is not None:
                self._retention.note(entry.instance, commit.next.number)
            if commit.start_consumed and taken.delivery.start is not None and taken.delivery.start.rewound is not None:
                self._retention.look(entry.instance)
            if commit.park is not None:
                _tell_parked(taken.delivery, commit.park)
            elif taken.heals:
                log.info("instance %s goes on: it is quarantined no more", entry.instance, extra=about(entry.instance))
            if commit.unread:
                self._tell_piles(entry.instance, taken.delivery.unread, commit.unread)
            for note in taken.turn.notes:
                log.warning("instance %s: %s", entry.instance, note, extra=about(entry.instance))

    def _tell_piles(self, instance: str, before: dict[str, int], after: dict[str, int]) -> None:
        """A backlog is told of when it passes the mark, not with every event behind it."""
        for name, depth in after.items():
            if depth > PILE >= before.get(name, 0):
                text = "instance %s: %d events %r wait unread: nobody takes them"
                log.warning(text, instance, depth, name, extra=about(instance))
                if self._common.facts.listening:
                    self._common.facts.announce(EventsPiledUp(instance, name, depth))


def _tell_parked(delivery: Delivery, park: Park) -> None:
    """Once, and not at every retry. That it is held is news of its own."""
    if delivery.parks and park.retry_ms is not None:
        return
    then = "until it is redriven" if park.retry_ms is None else "and tried again, later and later"
    instance = delivery.entry.instance
    log.warning(
        "instance %s is quarantined %s: %s: %s", instance, then, park.reason, park.detail, extra=about(instance)
    )
