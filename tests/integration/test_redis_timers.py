"""Timers on real servers: each fires once whoever calls, by the server's clock, whatever foreign clients break."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest
from redis import Redis

from redurable.core.codec import encode
from redurable.core.delivery import Outgoing
from redurable.core.messages import Terminate, TimerDue
from redurable.core.values import ActivityOptions, Arguments, Task
from redurable.store.port import DueTimer, TaskDemand
from redurable.store.redis.store import RedisStore
from redurable.store.redis.wire import LAST_ID, timer_member
from tests.support.redis_state import (
    entries_in,
    get_field,
    letters,
    living_in,
    mails,
    relay_all,
    set_field,
    start,
    waiting,
)
from tests.support.servers import Server

LONG_AGO = 1_700_000_000_000
FAR = 4_000_000_000_000


@pytest.fixture
def foreign(server: Server) -> Iterator[Redis]:
    with server.client() as client:
        yield client


async def set_timer(store: RedisStore, member: str, instance: str, due: int = LONG_AGO) -> DueTimer:
    keys = store.layout.of(instance)
    await store.lane.call("ZADD", keys.timers, due, member)
    return DueTimer(due, keys.number, member)


async def rung(store: RedisStore) -> list[str]:
    return [entry.instance for entry in await store.receive(range(store.partitions), 100, 0)]


async def test_a_timer_fires_once_though_two_workers_fire_it(store: RedisStore, other: RedisStore) -> None:
    await waiting(store, "i-1")
    timer = await set_timer(store, timer_member("t", "e1", 7, "i-1"), "i-1")
    counts: list[int] = []

    async def fire(worker: RedisStore) -> None:
        counts.append((await worker.fire([timer])).fired)

    async with anyio.create_task_group() as group:
        for worker in (store, other, store, other):
            group.start_soon(fire, worker)

    assert sorted(counts) == [0, 0, 0, 1]
    assert await mails(store, "i-1") == [TimerDue(execution="e1", seq=7, due=LONG_AGO)]
    assert await rung(store) == ["i-1"]


async def test_the_servers_clock_decides(store: RedisStore) -> None:
    await waiting(store, "i-1")
    await set_timer(store, timer_member("t", "e1", 7, "i-1"), "i-1", FAR)
    believed = DueTimer(LONG_AGO, store.layout.of("i-1").number, timer_member("t", "e1", 7, "i-1"))
    fired = await store.fire([believed])
    assert (fired.fired, fired.early) == (0, (DueTimer(FAR, believed.partition, believed.member),))
    assert LONG_AGO < fired.now < FAR
    assert await mails(store, "i-1") == []


async def test_the_earliest_timers_of_all_partitions_come_first(store: RedisStore) -> None:
    dues = {(LONG_AGO + 10 * n): living_in(n % 4, f"i{n}") for n in range(12)}
    timers = [await set_timer(store, timer_member("t", "e1", 1, who), who, due) for due, who in dues.items()]
    await set_timer(store, timer_member("t", "e1", 2, "late"), "late", FAR)
    found = await store.upcoming(range(4), 1000, 5)
    assert found.timers == tuple(timers[:5])
    assert (await store.upcoming(range(4), 1000, 100)).timers == tuple(timers)
    assert (await store.upcoming([2], 0, 100)).timers == tuple(t for t in timers if t.partition == 2)
    assert len((await store.upcoming(range(4), FAR, 100)).timers) == 13


async def test_timers_of_ended_executions_only_vanish(store: RedisStore) -> None:
    await waiting(store, "i-1")
    await waiting(store, "i-2")
    await set_field(store, "i-2", "s", "Completed")
    timers = [
        await set_timer(store, timer_member("t", "e0", 7, "i-1"), "i-1"),
        await set_timer(store, timer_member("t", "e1", 7, "i-2"), "i-2"),
        await set_timer(store, timer_member("u", "", LONG_AGO, "i-3"), "i-3"),
    ]
    assert (await store.fire(timers)).fired == 3
    await relay_all(store)
    assert [await mails(store, instance) for instance in ("i-1", "i-2", "i-3")] == [[], [], []]
    assert await rung(store) == []
    assert await letters(store) == []
    assert await get_field(store, "i-3", "p") is None


async def test_a_delayed_instance_sleeps_until_its_timer_but_hears_controls(store: RedisStore) -> None:
    await start(store, "i-1", delay_ms=FAR)
    assert await rung(store) == []
    [timer] = (await store.upcoming(range(4), 2 * FAR, 10)).timers
    assert (await store.fire([timer])).early == (timer,)

    await store.send([Outgoing("i-1", Terminate())])
    assert await rung(store) == ["i-1"]


async def test_the_end_of_a_wait_rings_for_what_has_come_meanwhile(store: RedisStore) -> None:
    await start(store, "i-1", delay_ms=1)
    [timer] = (await store.upcoming(range(4), 1000, 10)).timers
    with anyio.fail_after(20):
        while not (await store.fire([timer])).fired:
            pass
    assert await get_field(store, "i-1", "p") is None
    assert await rung(store) == ["i-1"]


async def test_an_old_wait_does_not_end_a_longer_one(store: RedisStore) -> None:
    await start(store, "i-1", delay_ms=FAR)
    old = await set_timer(store, timer_member("u", "", LONG_AGO, "i-1"), "i-1")
    assert (await store.fire([old])).fired == 1
    assert await get_field(store, "i-1", "p") is not None
    assert await rung(store) == []


def a_task(instance: str = "i-1") -> Task:
    return Task(instance, "e1", 3, "Pay", Arguments(), ActivityOptions(task_queue="payments"), attempt=2)


async def set_retry(store: RedisStore, body: bytes) -> DueTimer:
    member = timer_member("r", "e1", "3.2", "i-1")
    await store.lane.call("HSET", store.layout.of("i-1").retries, member, body)
    return await set_timer(store, member, "i-1")


async def test_a_retry_goes_back_to_its_queue_once(store: RedisStore, other: RedisStore) -> None:
    timer = await set_retry(store, encode(a_task()))
    assert [(await worker.fire([timer])).fired for worker in (store, other)] == [1, 0]
    leases = await store.receive_tasks(TaskDemand(("payments",), 10), 0)
    assert [(lease.task, lease.partition) for lease in leases] == [(a_task(), timer.partition)]
    assert await store.lane.call("HLEN", store.layout.of("i-1").retries) == 0


@pytest.mark.parametrize("body", [b"{", b"", None], ids=["unreadable", "empty", "gone"])
async def test_a_retry_that_cannot_be_read_is_a_dead_letter(store: RedisStore, body: bytes | None) -> None:
    timer = await set_retry(store, body or b"")
    if body is None:
        await store.lane.call("DEL", store.layout.of("i-1").retries)
    assert (await store.fire([timer])).fired == 1
    await relay_all(store)
    [letter] = await letters(store)
    assert letter.pop(b"reason") == b"the task of this retry " + (b"is gone" if body is None else b"cannot be read")
    named = {b"timer": timer.member.encode()} if body is None else {b"t": body}
    assert letter == {b"instance": b"i-1", **named}


async def test_foreign_members_leave_the_set_and_hold_up_no_timer(store: RedisStore, foreign: Redis) -> None:
    await waiting(store, "i-1")
    keys = store.layout.of("i-1")
    strange: list[bytes] = [b"nonsense", b"\xff\xfe", b'["t","e1","x","i-1"]', b'["z","",1,"i-1"]']
    foreign.zadd(keys.timers, dict(zip(strange, [float("-inf"), 2, 3, 4], strict=True)))
    await set_timer(store, timer_member("t", "e1", 7, "i-1"), "i-1")
    found = await store.upcoming([keys.number], 0, 100)
    assert (await store.fire(found.timers)).fired == 5
    assert await mails(store, "i-1") == [TimerDue(execution="e1", seq=7, due=LONG_AGO)]
    await relay_all(store)
    assert [letter[b"timer"] for letter in await letters(store)] == strange
    assert (await store.upcoming([keys.number], 0, 100)).timers == ()


@pytest.mark.parametrize("damage", ["exhausted", "wrong type", "hash"])
async def test_a_timer_of_a_damaged_instance_is_a_dead_letter(store: RedisStore, foreign: Redis, damage: str) -> None:
    await waiting(store, "i-1")
    await waiting(store, "i-2")
    if damage == "exhausted":
        foreign.xadd(store.mailbox_key("i-1"), {"event": "X"}, id=LAST_ID)
    elif damage == "wrong type":
        foreign.set(store.mailbox_key("i-1"), "no stream")
    else:
        foreign.set(store.layout.of("i-1").instance("i-1"), "no hash")
    timers = [
        await set_timer(store, timer_member("t", "e1", 7, "i-1"), "i-1"),
        await set_timer(store, timer_member("t", "e1", 7, "i-2"), "i-2"),
    ]
    assert (await store.fire(timers)).fired == 2
    await relay_all(store)
    due = TimerDue(execution="e1", seq=7, due=LONG_AGO)
    assert await mails(store, "i-2") == [due]
    [letter] = await letters(store)
    assert letter.pop(b"reason").startswith(b"mailbox is unusable: ")
    assert letter == {b"instance": b"i-1", b"m": encode(due)}


async def test_timers_fire_on_a_server_out_of_memory(store: RedisStore) -> None:
    await waiting(store, "i-1")
    timer = await set_timer(store, timer_member("t", "e1", 7, "i-1"), "i-1")
    retry = await set_retry(store, encode(a_task()))
    await store.lane.call("CONFIG", "SET", "maxmemory", 1)
    try:
        assert (await store.fire([timer, retry])).fired == 2
    finally:
        await store.lane.call("CONFIG", "SET", "maxmemory", 0)
    assert await mails(store, "i-1") == [TimerDue(execution="e1", seq=7, due=LONG_AGO)]
    assert len(await entries_in(store, store.layout.of("i-1").queue("payments"))) == 1


async def test_a_thousand_timers_fire_in_one_call(store: RedisStore) -> None:
    timers = [await set_timer(store, timer_member("t", "e1", n, f"i-{n}"), f"i-{n}") for n in range(1_100)]
    for n in (0, 600, 1_099):
        await waiting(store, f"i-{n}")
    assert (await store.fire(timers)).fired == 1_100
    for n in (0, 600, 1_099):
        assert await mails(store, f"i-{n}") == [TimerDue(execution="e1", seq=n, due=LONG_AGO)]
