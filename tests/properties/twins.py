"""A hub in memory and a hub on Redis that are told the same, by workers, clients and foreign programs.

The verbs of the port go through `Pairs`, which compares the answers. Here are the steps that foreign programs take, and
what can be seen of a hub that no single answer shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar
from uuid import uuid4

from redurable.core.values import RuntimeStatus
from redurable.errors import StoreRefused
from redurable.store.hearing import Answered
from redurable.store.inspect import Underway
from redurable.store.memory import MemoryHub, MemoryStore
from redurable.store.memory.streams import format_id
from redurable.store.port import Hub, TaskLease
from redurable.store.queries import Query
from redurable.store.redis.lane import Lane
from redurable.store.redis.listing import SPAN, base_of
from redurable.store.redis.store import RedisStore
from redurable.store.redis.wire import fields_of
from tests.properties.pairs import Pairs

T = TypeVar("T")

PARTITIONS = 2
CONSUMERS = ("w1", "w2")
INSTANCES = ("a", "b", "d")
QUEUES = ("default", "vip")
BEGIN = 1_700_000_000_000

NAMES = ("Demo", "Other")
TAGS = (("a", "1"), ("b", "1"))
_MOST_PAGES = 50

Fields = Mapping[bytes, bytes]


class Twins:
    """Both hubs, fresh. `workers[n]` speaks to both as consumer n; what one receives, the other may use, too."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lane: Lane) -> None:
        self.now = BEGIN
        self.memory = MemoryHub(f"t-{uuid4().hex[:12]}", PARTITIONS, clock=lambda: self.now)
        self.lane = lane
        self._loop = loop
        self.workers: list[Pairs] = []
        for consumer in CONSUMERS:
            redis = RedisStore(lane, self.memory.name, consumer, PARTITIONS)
            self.run(redis.open())
            self.layout = redis.layout
            pairs = Pairs(MemoryStore(self.memory, consumer), redis)
            if self.workers:
                first = self.workers[0]
                pairs.entries, pairs.deliveries, pairs.leases = first.entries, first.deliveries, first.leases
            self.workers.append(pairs)

    def close(self) -> None:
        """Let go of the connections to Redis."""
        for worker in self.workers:
            self.run(worker.stores[1].close())

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Take a step to its end."""
        self.now += 1
        return self._loop.run_until_complete(step)

    def same(self, ask: Callable[[Hub], Awaitable[T]], worker: int = 0) -> T | str:
        """Ask both; they must say the same, or refuse both."""
        return self.run(self.workers[worker].same(lambda store: _answer(ask(store))))

    # -- foreign programs

    def xadd_mailbox(self, instance: str, fields: Fields, entry_id: str) -> None:
        """Append to a mailbox and tell nobody."""
        key = self.layout.of(instance).mailbox(instance)
        self._same_end(
            lambda: self.memory.of(instance).append(instance, dict(fields), entry_id),
            self._xadd(key, fields, entry_id),
        )

    def xadd_intake(self, fields: Fields) -> None:
        """Append to the intake; starts and events without an id are called after the entry, so both get the same."""
        entry_id = f"{self.now}-0"
        self.memory.intake.append(self.now, fields, entry_id)
        self.run(self._xadd(self.layout.hub.intake, fields, entry_id))

    def xadd_ready(self, number: int, fields: Fields) -> None:
        """Append to a ready stream."""
        self.memory.partitions[number].ready.append(self.now, fields)
        self.run(self._xadd(self.layout.partition(number).ready, fields))

    def xadd_task(self, number: int, queue: str, fields: Fields) -> None:
        """Append to a task queue."""
        self.memory.partitions[number].queue(queue).append(self.now, fields)
        self.run(self._xadd(self.layout.partition(number).queue(queue), fields))

    def xadd_answer(self, worker: int, verb: str, one: TaskLease, two: TaskLease) -> None:
        """Say something of a task, as worker n, whoever holds it; the two hubs call it by ids of their own."""
        beside = {b"queue": one.queue.encode(), b"worker": CONSUMERS[worker].encode(), b"details": b"[1]"}
        said = [{verb.encode(): lease.id.encode() if verb != "nonsense" else b"", **beside} for lease in (one, two)]
        self.memory.partitions[one.partition].answers.append(self.now, said[0])
        self.run(self._xadd(self.layout.partition(two.partition).answers, said[1]))

    def xdel_mailbox(self, instance: str, which: int) -> None:
        """Delete an entry of a mailbox."""
        box, key = self.memory.of(instance).mailbox(instance), self.layout.of(instance).mailbox(instance)
        ids: list[Any] = self.run(self.lane.call("XRANGE", key, "-", "+"))
        assert len(ids) == (len(box) if box else 0)
        if box and ids:
            box.delete(format_id(list(box.entries)[which % len(ids)]))
            self.run(self.lane.call("XDEL", key, ids[which % len(ids)][0]))

    def xdel_ready(self, which: int, acknowledge: bool) -> None:
        """Delete a ready entry that somebody has received, together with its delivery, as a failover does, or not."""
        entries = self.workers[0].entries
        if entries:
            one, two = entries[which % len(entries)]
            ready, key = self.memory.partitions[one.partition].ready, self.layout.partition(two.partition).ready
            if acknowledge:
                ready.acknowledge(one.id)
                self.run(self.lane.call("XACK", key, "w", two.id))
            ready.delete(one.id)
            self.run(self.lane.call("XDEL", key, two.id))

    def xdel_task(self, number: int, queue: str, which: int) -> None:
        """Delete a task that nobody has received: when ends of several come, Redis cannot tell whether one that another
        program deleted while it ran was ended before."""
        tasks, key = self.memory.partitions[number].queue(queue), self.layout.partition(number).queue(queue)
        ids: list[Any] = self.run(self.lane.call("XRANGE", key, "-", "+"))
        assert len(ids) == len(tasks)
        waiting = [at for at, entry_id in enumerate(tasks.entries) if tasks.is_undelivered(format_id(entry_id))]
        if waiting:
            at = waiting[which % len(waiting)]
            tasks.delete(format_id(list(tasks.entries)[at]))
            self.run(self.lane.call("XDEL", key, ids[at][0]))

    # -- what no answer shows

    def look(self) -> None:
        """All that can be read is the same."""
        self.run(self.workers[0].look(INSTANCES))
        self.same(lambda store: store.counts())
        self.run(self._check_indexes())
        assert self.run(self._letters()) == _letters(self.memory.dead.entries.values())
        for number, partition in enumerate(self.memory.partitions):
            keys = self.layout.partition(number)
            opened = self.run(self.lane.call("SMEMBERS", keys.open))
            assert sorted(member.decode() for member in opened) == sorted(partition.open)
            assert self.run(self.lane.call("XLEN", keys.outbox)) == len(partition.outbox)
            pending = self.run(self.lane.call("XPENDING", keys.ready, "w"))
            assert pending[0] == len(partition.ready.pending)
            assert self.run(self.lane.call("HLEN", keys.retries)) == len(partition.retries) + len(partition.waits)
            feed = self.run(self.lane.call("XRANGE", keys.feed, "-", "+"))
            assert [fields_of(flat) for _, flat in feed] == list(partition.feed.entries.values())

    async def _check_indexes(self) -> None:
        """Every index holds what the instances say, and nothing else."""
        for partition in self.memory.partitions:
            keys, found = self.layout.partition(partition.number), partition.instances
            scores = {name: await self._score(keys.instance(name)) for name in found}
            assert await self._zset(keys.ix) == scores
            changed = {name: await self._changed(keys.instance(name)) for name in found}
            unchanged = {name for name, score in scores.items() if score == changed[name]}  # Pending has the base 0
            listed = await self._zset(keys.updated)
            assert listed | {name: changed[name] for name in unchanged} == changed
            assert await self._zset(keys.parked) == {
                name: score % SPAN for name, score in scores.items() if name in partition.quarantines
            }
            assert set(await self._zset(keys.ended)) == {
                name for name, record in found.items() if record.status.finished and not record.parent
            }
            for name in NAMES:
                listed = {key: scores[key] for key, record in found.items() if record.name == name}
                assert await self._zset(keys.named(name)) == listed
            for parent in INSTANCES:
                children = {name for name, record in found.items() if record.parent == parent}
                assert {kid.decode() for kid in await self.lane.call("SMEMBERS", keys.kids(parent))} == children
            snapshots = [await self.workers[0].stores[0].get(name) for name in found]
            for key, value in TAGS:
                tagged = {one.instance: one.created_at for one in snapshots if one and one.tags.get(key) == value}
                assert (await self._zset(keys.tag(key, value))).keys() == tagged.keys()

    async def _score(self, key: str) -> int:
        status, created = await self.lane.call("HMGET", key, "s", "c")
        return base_of(RuntimeStatus(status.decode())) + int(created)

    async def _changed(self, key: str) -> int:
        return int(await self.lane.call("HGET", key, "u"))

    async def _zset(self, key: str) -> dict[str, int]:
        flat = await self.lane.call("ZRANGE", key, 0, -1, "WITHSCORES")
        return {name.decode(): int(float(score)) for name, score in zip(flat[::2], flat[1::2], strict=True)}

    async def _letters(self) -> list[object]:
        entries = await self.lane.call("XRANGE", self.layout.hub.dead, "-", "+")
        return _letters(fields_of(flat) for _, flat in entries)

    async def _xadd(self, key: str, fields: Fields, entry_id: str = "*") -> None:
        await self.lane.call("XADD", key, entry_id, *(part for pair in fields.items() for part in pair))

    def _same_end(self, one: Callable[[], object], two: Coroutine[Any, Any, None]) -> None:
        """Both steps are taken, or refused both."""
        assert _outcome(one) == _outcome(lambda: self.run(two))


def _outcome(step: Callable[[], object]) -> str:
    try:
        step()
    except Exception:
        return "refused"
    return "done"


async def walk(store: Hub, asked: Query, limit: int) -> list[str]:
    """All that are asked for, page by page; in one millisecond the two hubs have different clocks."""
    found, ids, pages = await store.query(asked, limit), list[str](), 0
    while True:
        ids += [snapshot.instance for snapshot in found.snapshots]
        if found.place is None:
            return ids
        pages += 1
        assert pages < _MOST_PAGES
        found = await store.query(asked, limit, found.place)


async def mended(store: Hub, number: int) -> int:
    """How much is put right in a partition: nobody has damaged anything."""
    cursor, count = await store.mend(number, "", 100)
    while cursor:
        cursor, more = await store.mend(number, cursor, 100)
        count += more
    return count


async def _answer(asked: Awaitable[T]) -> T | str:
    try:
        return await asked
    except StoreRefused:
        return "refused"


def _letters(found: Iterable[Fields]) -> list[object]:
    """Dead letters in any order: what comes first is open when one step makes several."""
    return sorted(map(_letter, found), key=repr)


def _letter(fields: Fields) -> object:
    """A dead letter without when it came; of its reason what stands before the store's own words."""
    letter = {name: value for name, value in fields.items() if name != b"at"}
    if b"t" in letter or b"x" in letter:
        del letter[b"reason"]
    else:
        letter[b"reason"] = letter[b"reason"].partition(b": ")[0]
    return letter


def told(item: Answered) -> object:
    """What is the same in both hubs."""
    lease = None if item.lease is None else (item.lease.task, item.lease.heartbeat)
    return item.answer.kind, item.answer.worker, lease


def stands(call: Underway | None) -> object:
    """Where a call stands; times and ids are the store's own."""
    if call is None:
        return None
    return call.task.attempt, call.task.heartbeat, call.task.held is None, call.due > 0, call.holder
