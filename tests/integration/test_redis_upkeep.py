"""Sweeping and membership on real servers: what is healed when bells, consumers or processes get lost."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis import Redis

from redurable.errors import StoreRefused
from redurable.store.membership import Skills
from redurable.store.port import TaskDemand
from redurable.store.redis.channel import channel_factory
from redurable.store.redis.store import RedisStore, redis_store
from redurable.store.redis.sweep import OVERDUE_MS
from tests.support.redis_state import get_field, living_in, set_field, start, waiting
from tests.support.servers import Server

LONG_AGO = 1_700_000_000_000


@pytest.fixture
def foreign(server: Server) -> Iterator[Redis]:
    with server.client() as client:
        yield client


async def sweep_all(store: RedisStore, count: int = 1000) -> int:
    announced = 0
    for partition in range(store.partitions):
        cursor, more = await store.sweep(partition, "", count)
        announced += more
        while cursor:
            cursor, more = await store.sweep(partition, cursor, count)
            announced += more
    return announced


async def test_mail_that_a_foreign_client_put_down_is_heard_of_once(store: RedisStore, foreign: Redis) -> None:
    for number in range(3):
        await waiting(store, f"i-{number}")
    assert await sweep_all(store) == 0
    foreign.xadd(store.mailbox_key("i-1"), {"event": "X"})
    assert await sweep_all(store) == 1
    assert await sweep_all(store) == 0
    [entry] = await store.receive(range(4), 10, 0)
    assert entry.instance == "i-1"
    assert await get_field(store, "i-1", "q") == entry.id.encode()
    assert await sweep_all(store) == 0


async def test_every_instance_is_looked_at_in_pages(store: RedisStore, foreign: Redis) -> None:
    for number in range(1_500):
        await start(store, f"i-{number}")
    assert await sweep_all(store, 100) == 0
    for number in range(0, 1_500, 7):
        await set_field(store, f"i-{number}", "q", "")
    assert await sweep_all(store, 100) == len(range(0, 1_500, 7))


@pytest.mark.parametrize(
    "loss", ["never rung", "deleted unread", "acknowledged", "pending lost", "stream deleted", "nonsense"]
)
async def test_a_bell_that_rings_no_more_is_rung_again(store: RedisStore, foreign: Redis, loss: str) -> None:
    instance = living_in(1)
    keys = store.layout.of(instance)
    await start(store, instance)
    [first] = [entry_id.decode() for entry_id, _ in await store.lane.call("XRANGE", keys.ready, "-", "+")]
    if loss == "never rung":
        await set_field(store, instance, "q", "")
    elif loss == "nonsense":
        await set_field(store, instance, "q", "nonsense")
    elif loss == "deleted unread":
        foreign.xdel(keys.ready, first)
    elif loss == "stream deleted":
        foreign.delete(keys.ready)
    else:
        await store.receive([1], 10, 0)
        if loss == "acknowledged":
            foreign.xack(keys.ready, "w", first)
        else:
            foreign.xgroup_delconsumer(keys.ready, "w", "w1")
    assert await sweep_all(store) == 1
    assert await sweep_all(store) == 0
    assert instance in [entry.instance for entry in await store.receive([1], 10, 100)]


async def test_a_bell_that_a_worker_holds_is_left_alone(store: RedisStore, other: RedisStore) -> None:
    instance = living_in(1)
    await start(store, instance)
    await store.receive([1], 10, 0)
    assert await sweep_all(other) == 0
    await other.reclaim([1], 10, 0, TaskDemand((), 0), 0)
    assert await sweep_all(store) == 0


async def test_parked_instances_sleep_unless_their_timer_is_lost(store: RedisStore) -> None:
    await start(store, "i-1", delay_ms=3_600_000)
    assert await sweep_all(store) == 0
    await set_field(store, "i-1", "p", str(LONG_AGO))
    assert await sweep_all(store) == 1
    assert await get_field(store, "i-1", "p") is None
    assert [entry.instance for entry in await store.receive(range(4), 10, 0)] == ["i-1"]


async def test_a_wake_up_that_is_only_late_is_left_to_its_timer(store: RedisStore) -> None:
    await start(store, "i-1", delay_ms=3_600_000)
    now = (await store.heartbeat(1, Skills())).now
    await set_field(store, "i-1", "p", str(now - OVERDUE_MS // 2))
    assert await sweep_all(store) == 0


async def test_damaged_instances_do_not_stop_the_sweep(store: RedisStore, foreign: Redis) -> None:
    for instance in ("i-1", "i-2", "i-3"):
        await waiting(store, instance)
        foreign.xadd(store.mailbox_key(instance), {"event": "X"})
    foreign.set(store.layout.of("i-1").instance("i-1"), "no hash")
    foreign.delete(store.layout.of("i-2").instance("i-2"))
    foreign.set(store.mailbox_key("i-3"), "no stream")
    assert await sweep_all(store) == 1
    assert await store.lane.call("EXISTS", store.layout.of("i-2").instance("i-2")) == 0


async def test_what_has_no_skills_is_no_worker_and_skills_go_with_who_has_them(
    store: RedisStore, other: RedisStore, foreign: Redis
) -> None:
    hub, skills = store.layout.hub, Skills(("orchestrations",), ("Order",))
    now = (await other.heartbeat(60_000, skills)).now
    members: dict[Any, float] = {"mute": now, "odd": now, b"\xff": now}
    foreign.zadd(hub.workers, members)
    foreign.hset(hub.skills, mapping={"odd": "[" * 100_000, "long-gone": "{}"})
    assert (await store.heartbeat(60_000, skills)).workers == {"w1": skills, "w2": skills}
    assert await store.reap(60_000) == 0
    assert set(foreign.hkeys(hub.skills)) == {b"w1", b"w2", b"odd"}
    await other.leave()
    assert set(foreign.hkeys(hub.skills)) == {b"w1", b"odd"}


async def test_notes_of_hand_overs_that_are_none_are_passed_over(
    store: RedisStore, other: RedisStore, foreign: Redis
) -> None:
    inbox = store.layout.hub.handed("w2")
    for told in ("", "{}", '[[1,"0-1"]]', '[[99,"0-1","i-1",1]]', '[[-1,"0-1","i-1",1]]', "[" * 100_000):
        foreign.xadd(inbox, {"e": told})
    foreign.xadd(inbox, {"x": "y"})
    await start(store, "i-1")
    entries = await store.receive(range(4), 10, 0)
    await store.hand_over(entries, "w2")
    assert [(entry.id, entry.instance) for entry in await other.receive_handed(0)] == [(entries[0].id, "i-1")]
    assert foreign.xlen(inbox) == 0
    assert 0 < foreign.pttl(inbox) <= 60_000


async def test_who_is_silent_is_no_member(store: RedisStore, other: RedisStore, foreign: Redis) -> None:
    first = await store.heartbeat(60_000, Skills())
    assert tuple(first.workers) == ("w1",)
    assert tuple((await other.heartbeat(60_000, Skills())).workers) == ("w1", "w2")
    foreign.zadd(store.layout.hub.workers, {"w1": first.now - 60_000})
    assert tuple((await other.heartbeat(60_000, Skills())).workers) == ("w2",)
    await other.leave()
    assert tuple((await store.heartbeat(60_000, Skills())).workers) == ("w1",)


async def consumers(store: RedisStore, stream: str) -> set[str]:
    reply: list[list[bytes]] = await store.lane.call("XINFO", "CONSUMERS", stream, "w")
    return {consumer[1].decode() for consumer in reply}


async def test_a_worker_leaves_only_groups_where_it_holds_nothing(store: RedisStore, other: RedisStore) -> None:
    here, there = store.layout.partition(0).ready, store.layout.partition(1).ready
    await start(store, living_in(0))
    await start(store, living_in(1))
    held = await store.receive([0, 1], 10, 0)
    await store.hand_back([entry for entry in held if entry.partition == 1], [])
    assert "w1" in await consumers(store, there)
    await store.leave()
    assert await consumers(store, here) == {"w1"}
    assert await consumers(store, there) == set()
    # What it holds is not lost with it.
    assert len((await other.reclaim(range(4), 10, 0, TaskDemand((), 0), 0)).entries) == 1


async def test_consumers_of_dead_workers_are_removed_where_they_hold_nothing(server: Server, store: RedisStore) -> None:
    demand = TaskDemand(("default",), 10)
    mayflies = {f"mayfly-{number}" for number in range(3)}
    for number, name in enumerate(sorted(mayflies)):
        mayfly = redis_store(server.url, store.hub, consumer=name)
        await mayfly.open()
        await start(store, living_in(0, f"mail{number}"))
        assert len(await mayfly.receive([0], 1, 0)) == 1
        # A task that cannot be read is gone at once, so nobody holds a task.
        await store.lane.call("XADD", store.layout.partition(0).queue("default"), "*", "t", "{")
        assert await mayfly.receive_tasks(demand, 0) == []
        await mayfly.close()
    await store.receive_tasks(demand, 0)

    ready, tasks = store.layout.partition(0).ready, store.layout.partition(0).queue("default")
    assert await store.reap(60_000) == 0
    assert mayflies <= await consumers(store, tasks)
    assert await store.reap(0) == 3
    assert not mayflies & await consumers(store, tasks)
    assert mayflies <= await consumers(store, ready)
    assert len((await store.reclaim([0], 10, 0, TaskDemand((), 0), 0)).entries) == 3
    assert await store.reap(0) == 3
    assert await consumers(store, ready) == {"w1"}


async def test_a_worker_whose_heart_beats_is_not_reaped(store: RedisStore, other: RedisStore) -> None:
    await start(store, living_in(0))
    held = await other.receive([0], 10, 0)
    await other.hand_back(held, [])
    await other.heartbeat(60_000, Skills())
    await store.lane.call("ZADD", store.layout.hub.workers, "XX", "INCR", 3_600_000, "w2")
    assert await store.reap(0) == 0
    assert "w2" in await consumers(store, store.layout.partition(0).ready)


async def test_a_server_that_lost_its_data_gets_the_same_hub_again(server: Server, hub: str, foreign: Redis) -> None:
    skills = Skills(("orchestrations",))
    async with _of_four(server, hub) as store:
        await store.heartbeat(60_000, skills)
        foreign.delete(store.layout.hub.meta, store.layout.hub.workers, store.layout.hub.skills)
        await store.heartbeat(60_000, skills)
        client = redis_store(server.url, hub)
        assert await client.open()
        assert client.partitions == 4
        await client.close()


async def test_a_worker_of_another_hub_than_there_is_says_so_and_is_no_member(
    server: Server, hub: str, foreign: Redis
) -> None:
    async with _of_four(server, hub) as store:
        foreign.hset(store.layout.hub.meta, "partitions", "16")
        with pytest.raises(StoreRefused, match="16 partitions now, and had format 2 and 4; start this process again"):
            await store.heartbeat(60_000, Skills(("orchestrations",)))
        assert foreign.zcard(store.layout.hub.workers) == 0


@asynccontextmanager
async def _of_four(server: Server, hub: str) -> AsyncGenerator[RedisStore]:
    """A hub with another number of partitions than one has that is not told any."""
    store = RedisStore(channel_factory(server.url), hub, consumer="w1", partitions=4)
    await store.open()
    yield store
    await store.close()
