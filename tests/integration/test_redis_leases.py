"""Leases on real servers: idle time of pending entries, lost replies, and streams that foreign clients change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from redurable.core.codec import encode
from redurable.core.delivery import Entry
from redurable.core.values import Arguments, Task
from redurable.store.port import Lost, Reclaimed, TaskDemand, TaskLease
from redurable.store.redis.store import RedisStore
from tests.support.redis_state import entries_in, letters, living_in, relay_all, start
from tests.support.servers import Server

NONE = TaskDemand((), 0)
TASKS = TaskDemand(("default", "payments"), 100)
LEASE = 60_000


@pytest.fixture
def foreign(server: Server) -> Iterator[Redis]:
    with server.client() as client:
        yield client


async def add_task(store: RedisStore, partition: int, seq: int, queue: str = "default") -> None:
    body = encode(Task("i-1", "e1", seq, "Pay", Arguments()))
    await store.lane.call("XADD", store.layout.partition(partition).queue(queue), "*", "t", body)


async def take(store: RedisStore, entries: int = 2, tasks: int = 2) -> tuple[list[Entry], list[TaskLease]]:
    """Hold entries of partition 0 and tasks of partition 1."""
    for number in range(entries):
        await start(store, living_in(0, f"i{number}"))
    for number in range(tasks):
        await add_task(store, 1, number, ("default", "payments")[number % 2])
    return await store.receive([0], 100, 0), await store.receive_tasks(TASKS, 0)


async def age(store: RedisStore, stream: str, *ids: str) -> None:
    """Let the holders of these entries have been silent for as long as a lease."""
    for entry_id in ids:
        [[_, owner, *_]] = await store.lane.call("XPENDING", stream, "w", entry_id, entry_id, 1)
        await store.lane.call("XCLAIM", stream, "w", owner, 0, entry_id, "IDLE", LEASE, "JUSTID")


async def idle(store: RedisStore, stream: str, entry_id: str) -> int:
    return (await store.lane.call("XPENDING", stream, "w", entry_id, entry_id, 1))[0][2]


async def test_renewing_starts_the_lease_anew_and_counts_no_delivery(store: RedisStore) -> None:
    entries, tasks = await take(store, 1, 1)
    stream = store.layout.partition(0).ready
    await age(store, stream, entries[0].id)
    assert await idle(store, stream, entries[0].id) >= LEASE
    assert await store.renew(entries, tasks) == Lost()
    [[_, owner, since, deliveries]] = await store.lane.call("XPENDING", stream, "w", "-", "+", 10)
    assert (owner, deliveries) == (b"w1", 1)
    assert since < LEASE


async def test_what_another_took_over_stays_lost(store: RedisStore, other: RedisStore) -> None:
    entries, tasks = await take(store)
    ready = store.layout.partition(0).ready
    await age(store, ready, entries[0].id)
    await age(store, store.layout.partition(1).queue(tasks[1].queue), tasks[1].id)
    taken = await other.reclaim(range(4), 100, LEASE, TASKS, LEASE)
    assert [entry.id for entry in taken.entries] == [entries[0].id]
    assert [lease.task for lease in taken.tasks] == [tasks[1].task]
    assert all(item.again for item in (*taken.entries, *taken.tasks))

    assert await store.renew(entries, tasks) == Lost((entries[0],), (tasks[1],))
    assert await other.renew(taken.entries, taken.tasks) == Lost()


async def test_leases_of_entries_that_a_foreign_client_deleted_are_lost(store: RedisStore, foreign: Redis) -> None:
    entries, tasks = await take(store)
    foreign.xdel(store.layout.partition(0).ready, entries[0].id)
    foreign.delete(store.layout.partition(1).queue(tasks[0].queue))
    assert await store.renew(entries, tasks) == Lost((entries[0],), (tasks[0],))


async def test_a_lease_that_runs_is_not_taken(store: RedisStore, other: RedisStore) -> None:
    await take(store)
    assert await other.reclaim(range(4), 100, LEASE, TASKS, LEASE) == Reclaimed()


async def test_a_worker_reclaims_its_own_entries_too(store: RedisStore) -> None:
    entries, _ = await take(store, 1, 0)
    taken = await store.reclaim([0], 10, 0, NONE, 0)
    assert [(entry.id, entry.again) for entry in taken.entries] == [(entries[0].id, True)]


async def test_one_budget_covers_all_streams(store: RedisStore, other: RedisStore) -> None:
    for partition in range(4):
        for number in range(3):
            await start(store, living_in(partition, f"i{number}"))
            await add_task(store, partition, number)
    entries, tasks = await store.receive(range(4), 100, 0), await store.receive_tasks(TASKS, 0)
    for entry in entries:
        await age(store, store.layout.partition(entry.partition).ready, entry.id)
    for lease in tasks:
        await age(store, store.layout.partition(lease.partition).queue("default"), lease.id)

    rounds = [await other.reclaim(range(4), 5, LEASE, TaskDemand(("default",), 7), LEASE) for _ in range(4)]
    assert [(len(taken.entries), len(taken.tasks)) for taken in rounds] == [(5, 7), (5, 5), (2, 0), (0, 0)]
    assert {entry.instance for taken in rounds for entry in taken.entries} == {entry.instance for entry in entries}


async def test_an_expired_lease_behind_thousands_of_running_ones_is_found(store: RedisStore, other: RedisStore) -> None:
    stream = store.layout.partition(0).ready
    for number in range(1_500):
        await store.lane.call("XADD", stream, "*", "i", f"i-{number}")
    held = [entry for _ in range(2) for entry in await store.receive([0], 1_000, 0)]
    assert len(held) == 1_500
    await age(store, stream, held[-1].id)
    taken = await other.reclaim([0], 10, LEASE, NONE, 0)
    assert [entry.instance for entry in taken.entries] == ["i-1499"]


async def test_what_cannot_be_read_is_removed_when_it_is_taken_over(store: RedisStore, foreign: Redis) -> None:
    ready, queue = store.layout.partition(0).ready, store.layout.partition(1).queue("default")
    foreign.xadd(ready, {"hello": "world"})
    foreign.xadd(queue, {"t": "{"})
    for stream in (ready, queue):
        await store.lane.script("groups", [stream], [])
        await store.lane.call("XREADGROUP", "GROUP", "w", "dead", "STREAMS", stream, ">")
    assert await store.reclaim(range(4), 10, 0, TASKS, 0) == Reclaimed()
    assert [await entries_in(store, stream) for stream in (ready, queue)] == [[], []]
    assert [(await store.lane.call("XPENDING", stream, "w"))[0] for stream in (ready, queue)] == [0, 0]
    await relay_all(store)
    assert [letter.get(b"t", letter.get(b"hello")) for letter in await letters(store)] == [b"world", b"{"]


async def test_after_a_lost_reply_a_worker_finds_what_it_holds(store: RedisStore, other: RedisStore) -> None:
    entries, tasks = await take(store)
    await start(store, living_in(2))
    await other.receive([2], 10, 0)

    found = await store.recover()
    assert found.entries == tuple(entries)
    assert {lease.id for lease in found.tasks} == {lease.id for lease in tasks}
    assert [len((await worker.recover()).entries) for worker in (store, other)] == [2, 1]


async def test_recovering_forgets_what_a_foreign_client_deleted(store: RedisStore, foreign: Redis) -> None:
    entries, tasks = await take(store, 2, 4)
    ready, partition = store.layout.partition(0).ready, store.layout.partition(1)
    kept, *deleted = sorted(tasks, key=lambda lease: lease.queue == "payments")
    foreign.xdel(ready, entries[0].id)
    foreign.xdel(partition.queue("default"), deleted[0].id)
    foreign.delete(partition.queue("payments"))
    foreign.delete(store.layout.partition(3).ready)
    found = await store.recover()
    assert [entry.id for entry in found.entries] == [entries[1].id]
    assert [lease.id for lease in found.tasks] == [kept.id]
    for stream in (ready, partition.queue("default")):
        assert (await store.lane.call("XPENDING", stream, "w"))[0] == 1
    await relay_all(store)
    assert await letters(store) == []


async def test_entries_are_stolen_only_when_they_have_waited(store: RedisStore, other: RedisStore) -> None:
    stream = store.layout.partition(0).ready
    for number in range(3):
        await start(store, living_in(0, f"i{number}"))
    assert await other.steal([0, 1], 10, LEASE) == []
    assert await other.steal([1, 2], 10, 0) == []

    assert len(await store.receive([0], 1, 0)) == 1
    stolen = await other.steal([0, 1], 1, 0)
    assert [(entry.partition, entry.again) for entry in stolen] == [(0, False)]
    assert len(await other.steal([0], 10, 0)) == 1
    assert (await store.lane.call("XPENDING", stream, "w"))[3] == [[b"w1", b"1"], [b"w2", b"2"]]


async def test_only_the_undelivered_entries_age_counts(store: RedisStore, other: RedisStore) -> None:
    """An old entry that is pending, and a young one that waits: nobody is late."""
    stream = store.layout.partition(0).ready
    await store.lane.call("XADD", stream, "1700000000000-0", "i", "old")
    assert len(await store.receive([0], 1, 0)) == 1
    await start(store, living_in(0))
    assert await other.steal([0], 10, LEASE) == []

    await store.lane.call("XADD", store.layout.partition(1).ready, "1700000000000-0", "i", "old")
    assert [entry.instance for entry in await other.steal([0, 1], 10, LEASE)] == ["old"]


async def test_an_id_from_the_future_does_not_hide_an_entry_from_thieves(store: RedisStore, foreign: Redis) -> None:
    ready = store.layout.partition(0).ready
    foreign.xadd(ready, {"i": "x"}, id="99999999999999-0")
    assert [entry.instance for entry in await store.steal([0], 10, LEASE)] == ["x"]
    foreign.delete(ready)
    assert await store.steal([0], 10, 0) == []
