"""The way of a batch of instances through a worker: checkout, take turns, commit, hand on.

Invariants: an instance is in one batch at a time (`Holdings`), and its replay is out of the cache for as long. A fenced
turn leaves no trace: its replay is evicted, and its entry is checked out again if it is still ours.

Where an activity of a cached instance ended here, the first half of that way is not needed: the turn is decided ahead,
and committed by the step that ends the attempt.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace

from redurable.core.delivery import Delivery, Entry, Outcome, Position, Receipt
from redurable.core.known import Known
from redurable.store.port import Completed, TaskEnd
from redurable.worker.cache import ReplayCache
from redurable.worker.commit import Commits
from redurable.worker.common import Common, about, log
from redurable.worker.handover import Handover
from redurable.worker.turn_thread import Taken, TurnThread

Work = list[tuple[Delivery, Known | None]]


class Done(Struct, frozen=True):
    """Attempts that were ended; `known` are the positions that were given with them, `waited` are ready entries that
    came for instances while a turn of them was decided ahead."""

    completed: Completed
    known: dict[str, Position | None]
    waited: list[Entry]


MOST_TOLD = 1_000
"""So many different reasons why a commit failed are logged."""


class Pipeline:
    """Takes the turns of whatever this worker received. `running` counts the batches under way."""

    def __init__(self, common: Common, thread: TurnThread, cache: ReplayCache, commits: Commits) -> None:
        self.running = 0
        self._ended = asyncio.Event()
        self._common = common
        self._thread = thread
        self._cache = cache
        self._commits = commits
        self._handover = Handover(common)
        self._told: set[str] = set()

    @property
    def free(self) -> int:
        """How many instances can be taken on now without making others wait long."""
        settings = self._common.settings
        return settings.batch if self.running < settings.lanes else 0

    def position(self, instance: str) -> Position | None:
        """What this worker knows of the instance's history: a checkout needs to read only what follows."""
        return self._cache.position(instance) or self._handover.position(instance)

    async def idle(self) -> None:
        """Wait until no batch is under way."""
        while self.running:
            await self._ended.wait()

    async def run(self, entries: Sequence[Entry]) -> None:
        """Take turns of these instances, until neither they nor entries that waited for them are left."""
        holdings = self._common.holdings
        claimed = holdings.claim(entries)
        with self._under_way(), holdings.put_off(claimed):
            await self._run_claimed(claimed)

    async def complete(self, ends: Sequence[TaskEnd]) -> Done:
        """End attempts, with the turns that can be decided ahead of that. `follow` comes next, at once."""
        with self._under_way():
            turns, waited = await self._decide_ahead(ends)
            ahead = {taken.delivery.entry.instance: taken.turn.commit for taken in turns}
            if ahead:
                ends = [replace(end, turn=ahead.get(end.lease.task.instance)) for end in ends]
            names = [end.lease.task.instance for end in ends]
            # Of what is taken ahead and fenced, the replay is lost.
            known = {name: None if name in ahead else self.position(name) for name in names}
            mine = self._common.ownership.mine
            # Where every end has its turn, nobody is announced.
            is_news = len(turns) < len(ends)
            count = self.free if is_news and mine and self._common.reception.open else 0
            partitions = mine if count else ()
            try:
                done = await self._commits.complete(ends, turns, [known[name] for name in names], count, partitions)
            except BaseException:
                self._let_go(turns)
                raise
            for taken, receipt in zip(turns, done.receipts, strict=True):
                self._settle(taken, receipt)
            waited += self._common.holdings.release([taken.delivery.entry for taken in turns])
            return Done(done, known, waited)

    async def follow(self, done: Done) -> None:
        """Take the turns of whatever was received with these ends, and of what waited for a turn decided ahead."""
        holdings, deliveries = self._common.holdings, done.completed.deliveries
        delivered = holdings.claim(delivery.entry for delivery in deliveries)
        # Held from now on, though those that are checked out already come first.
        later = holdings.claim([*done.waited, *done.completed.entries])
        if delivered or later:
            with self._under_way(), holdings.put_off(later):
                await self._run_delivered(delivered, later, deliveries, done.known)
                await self._run_claimed(later)

    async def _decide_ahead(self, ends: Sequence[TaskEnd]) -> tuple[list[Taken], list[Entry]]:
        """The turns, and entries that waited for instances of which none came about."""
        work: Work = list(self._claim_ahead(ends)) if self._common.reception.open else []
        if not work:
            return [], []
        try:
            turns = await self._thread.take(work, self._cache.take_dropped())
        except BaseException:
            self._drop((delivery.entry, known) for delivery, known in work)
            self._common.holdings.release([delivery.entry for delivery, _ in work])
            raise
        # Code that cannot take the turn parks the instance, which is done with its mail in the mailbox.
        able = [taken for taken in turns if taken.turn.commit.events]
        return able, self._let_go([taken for taken in turns if not taken.turn.commit.events])

    def _claim_ahead(self, ends: Sequence[TaskEnd]) -> Iterator[tuple[Delivery, Known]]:
        """What these ends lead to, if their instances wait for nothing else.

        Only first attempts: should a turn kill this worker, its outcome comes in the mailbox the next time, where it is
        counted how often a turn was begun.
        """
        names = [end.lease.task.instance for end in ends]
        often = _repeated(names)
        for end in ends:
            lease, message = end.lease, end.message
            instance = lease.task.instance
            if message is None or lease.again or lease.task.log or instance in often:
                continue
            known = None if self._common.holdings.busy(instance) else self._cache.look(instance)
            if known is not None and self._thread.is_quick(known.name) and known.is_ahead_of(message):
                delivery = known.delivery_of(message, lease.partition, int(self._common.clock.now()))
                self._common.holdings.claim([delivery.entry])
                self._cache.take(instance)
                yield delivery, known

    def _let_go(self, turns: Sequence[Taken]) -> list[Entry]:
        """These turns come to nothing; return the entries that waited for them."""
        self._drop((taken.delivery.entry, taken.turn.known) for taken in turns)
        return self._common.holdings.release([taken.delivery.entry for taken in turns])

    async def _run_delivered(
        self,
        claimed: Sequence[Entry],
        later: list[Entry],
        deliveries: Sequence[Delivery],
        known: dict[str, Position | None],
    ) -> None:
        """Turns of instances that were checked out already, against these positions; the entries to go on with are
        claimed, and come later."""
        checked = {delivery.entry.instance: delivery for delivery in deliveries}
        valid: list[Entry] = []
        for entry in claimed:
            moved_on = self.position(entry.instance) != known.get(entry.instance)
            (later if moved_on else valid).append(entry)
        work = [(checked[entry.instance], self._cache.take(entry.instance)) for entry in valid]
        later += self._common.holdings.claim(await self._finish(valid, work))

    @contextmanager
    def _under_way(self) -> Generator[None]:
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._ended.set()
            self._ended.clear()

    async def _run_claimed(self, claimed: list[Entry]) -> None:
        """All of them are held from the beginning: a turn of the first ones may be long. Those delivered before come
        behind the others, but not behind what follows: a busy instance would have its turns for ever."""
        claimed.sort(key=attrgetter("again"))
        while claimed:
            batch = _next_batch(claimed, self._common.settings.batch)
            again = await self._finish(batch, await self._checkout(batch))
            claimed += self._common.holdings.claim(again)

    async def _checkout(self, claimed: list[Entry]) -> Work:
        replays = [self._cache.take(entry.instance) for entry in claimed]
        try:
            positions = [
                known.position if known is not None else self._handover.position(entry.instance)
                for entry, known in zip(claimed, replays, strict=True)
            ]
            deliveries = await self._common.store.checkout(claimed, positions)
        except BaseException:
            self._drop(zip(claimed, replays, strict=True))
            self._common.holdings.release(claimed)
            raise
        return list(zip(deliveries, replays, strict=True))

    async def _finish(self, claimed: list[Entry], work: Work) -> list[Entry]:
        """Take the turns and make them true; return the entries to go on with."""
        again: list[Entry] = []
        try:
            work = await self._own(work)
            if work:
                again = await self._commit(await self._thread.take(work, self._cache.take_dropped()))
        finally:
            waited = self._common.holdings.release(claimed)
        return [*again, *waited]

    async def _commit(self, turns: list[Taken]) -> list[Entry]:
        try:
            if any(taken.turn.commit.park is not None for taken in turns):
                turns = self._without(turns, await self._handover.keep(turns))
            receipts = await self._commits.apply(turns) if turns else ()
        except BaseException:
            self._drop((taken.delivery.entry, taken.turn.known) for taken in turns)
            raise
        fenced = [
            taken.delivery.entry for taken, receipt in zip(turns, receipts, strict=True) if self._settle(taken, receipt)
        ]
        if not fenced:
            return []
        lost = {entry.instance for entry in (await self._common.store.renew(fenced, ())).entries}
        return [entry for entry in fenced if entry.instance not in lost]

    def _without(self, turns: list[Taken], kept: list[Taken]) -> list[Taken]:
        """Those that were kept; the others' replays do not come back."""
        ours = {taken.delivery.entry.instance for taken in kept}
        for taken in turns:
            if taken.delivery.entry.instance not in ours:
                self._cache.drop(taken.delivery.entry.instance)
        return kept

    async def _own(self, work: Work) -> Work:
        """Without what other workers can take, of which not the whole history was read; the rest of it is read now."""
        partial = [delivery for delivery, known in work if known is None and delivery.base]
        if not partial:
            return work
        try:
            left = [delivery.entry for delivery in await self._handover.keep_noted(partial)]
            whole = await self._common.store.checkout(left, [None] * len(left)) if left else []
        except BaseException:
            self._drop((delivery.entry, known) for delivery, known in work)
            raise
        own = [(delivery, known) for delivery, known in work if known is not None or not delivery.base]
        return [*own, *((delivery, None) for delivery in whole)]

    def _settle(self, taken: Taken, receipt: Receipt) -> bool:
        """Keep or drop the replay, as the store answered; return whether the turn was fenced."""
        instance, known = taken.delivery.entry.instance, taken.turn.known
        if receipt.outcome is Outcome.FENCED:
            self._cache.drop(instance, known, "fenced")
            return True
        if receipt.outcome is Outcome.FAILED:
            self._tell_once(instance, receipt.detail)
            self._cache.drop(instance, known)
        elif known is None:
            self._cache.drop(instance)
        else:
            self._cache.put(instance, known)
        return False

    def _tell_once(self, instance: str, why: str) -> None:
        """One damaged key fails the commits of many instances, again and again, until somebody repairs it."""
        if why not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(why)
            log.error("instance %s: its commit failed: %s (it is tried again)", instance, why, extra=about(instance))

    def _drop(self, replays: Iterable[tuple[Entry, Known | None]]) -> None:
        for entry, known in replays:
            self._cache.drop(entry.instance, known)


def _repeated(names: Sequence[str]) -> set[str]:
    """Those that come more than once."""
    if len(set(names)) == len(names):
        return set()
    return {name for name, times in Counter(names).items() if times > 1}


def _next_batch(entries: list[Entry], size: int) -> list[Entry]:
    """Take the first ones out. An entry delivered before runs alone: if it kills its worker, it takes no others with
    it."""
    first = next((at for at, entry in enumerate(entries[:size]) if entry.again), size)
    batch = entries[: first or 1]
    del entries[: len(batch)]
    return batch
