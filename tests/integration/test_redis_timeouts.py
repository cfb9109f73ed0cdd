"""Durable timeouts and heartbeats against what only Redis can do: foreign clients in the keys, entries that vanish, a
queue that changes while somebody looks, a server that is full."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from redurable.core.codec import encode
from redurable.core.limits import NO_START, not_begun
from redurable.core.messages import ActivityFailure
from redurable.core.values import ABSENT, ActivityOptions, Task, Timeouts
from redurable.store.port import DueTimer, Lost, TaskEnd, TaskLease
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore
from redurable.store.redis.wire import timer_member
from redurable.testing.conformance import scenes

MEMBER = timer_member("s", "x1", 1, "one")
UNHEARD = ActivityFailure(execution="x1", seq=1, failure=NO_START)


def waiting(seq: int = 1) -> Task:
    """A task whose wait is over already."""
    options = ActivityOptions(timeouts=Timeouts(schedule_to_start=1))
    return replace(scenes.task(seq=seq), options=options, waiting_since=1)


async def timer_of(store: RedisStore) -> DueTimer:
    (timer,) = (await store.upcoming(scenes.everywhere(store), 0, 10)).timers
    return timer


async def test_timers_of_timeouts_leave_nothing_behind(store: RedisStore) -> None:
    tasks = tuple(
        replace(waiting(seq), options=ActivityOptions(timeouts=Timeouts(schedule_to_start=1, schedule_to_close=1)))
        for seq in (1, 2, 3)
    )
    timers = (await scenes.running(store, tasks=tasks)).timers
    keys = store.layout.of("one")
    assert len(timers) == 6
    assert await store.lane.call("HLEN", keys.retries) == 3
    await scenes.send(store, "one", scenes.event())
    await scenes.accept(store, scenes.turn(await scenes.take(store), "h2", scenes.raised(), closed_calls=(1, 2)))
    assert await store.lane.call("ZCARD", keys.timers) == 2
    assert await scenes.fire(store) == 2
    assert await store.lane.call("EXISTS", keys.timers, keys.retries) == 0


async def test_a_task_that_somebody_deleted_is_late_all_the_same(store: RedisStore, foreign: Lane) -> None:
    await scenes.running(store, tasks=(waiting(),))
    keys = store.layout.of("one")
    await foreign.call("XTRIM", keys.queue("default"), "MAXLEN", 0)
    assert await scenes.fire(store) == 1
    assert scenes.said(await scenes.take(store)) == [UNHEARD]


async def test_a_queue_that_somebody_deleted_has_lost_its_tasks(store: RedisStore, foreign: Lane) -> None:
    (lease,) = await scenes.with_tasks(store, waiting())
    await foreign.call("DEL", store.layout.of("one").queue("default"))
    assert await scenes.fire(store) == 1
    assert scenes.said(await scenes.take(store)) == [UNHEARD]
    assert (await store.complete([scenes.ended(lease)], [None])).accepted == (False,)


@pytest.mark.parametrize("garbage", [b"", b"nonsense", b"1-0", b"99999999999999999999999-1 default", b"\xff\xfe x"])
async def test_garbage_in_place_of_an_entry_only_ends_the_timer(
    store: RedisStore, foreign: Lane, garbage: bytes
) -> None:
    await scenes.running(store, tasks=(waiting(), waiting(2)))
    keys = store.layout.of("one")
    await foreign.call("HSET", keys.retries, MEMBER, garbage)
    assert await scenes.fire(store) == 2
    assert not_begun(waiting(2)) in scenes.said(await scenes.take(store))
    assert await foreign.call("EXISTS", keys.timers, keys.retries) == 0


async def test_a_timer_without_an_entry_only_vanishes(store: RedisStore, foreign: Lane) -> None:
    await scenes.running(store, tasks=(waiting(),))
    await foreign.call("DEL", store.layout.of("one").retries)
    assert await scenes.fire(store) == 1
    assert await scenes.receive(store) == []


async def test_keys_of_a_wrong_type_stop_nobody_else(store: RedisStore, foreign: Lane) -> None:
    keys = store.layout.of("one")
    await foreign.call("SET", keys.retries, "x")
    delivery = await scenes.begin(store)
    commit = scenes.turn(delivery, "h1", tasks=(waiting(),))
    (receipt,) = (await store.commit([commit])).receipts
    assert (receipt.outcome, "WRONGTYPE" in receipt.detail) == ("failed", True)

    await foreign.call("DEL", keys.retries)
    await foreign.call("SET", keys.beats, "x")
    assert await scenes.sweep(store) == 1
    await scenes.accept(store, scenes.turn(await scenes.take(store), "h2", tasks=(scenes.task(seq=2),)))
    (lease,) = [item for item in await store.receive_tasks(scenes.demand(), 0) if item.task.seq == 2]
    details = replace(lease, heartbeat=scenes.TRUE)
    assert await store.renew([], [details]) == Lost()
    assert (await store.complete([TaskEnd(details, message=scenes.result(details))], [None])).accepted == (True,)


class _Moved(Lane):
    """The task comes into its queue again between the look at it and the firing of its timer."""

    store: RedisStore
    moves = 1

    async def script(self, name: str, keys: Any, args: Any) -> Any:
        if name == "fire" and self.moves:
            self.moves -= 1
            held = await self.store.receive_tasks(scenes.demand(), 0)
            await self.store.hand_back([], held)
        return await super().script(name, keys, args)


async def test_a_task_that_moves_while_its_timer_fires_is_looked_at_again(store: RedisStore, foreign: Lane) -> None:
    await scenes.running(store, tasks=(waiting(),))
    timer = await timer_of(store)
    lane = _Moved(foreign.connect)
    lane.store = store
    slow = RedisStore(lane, store.hub, "w3", store.partitions)
    await slow.open()
    fired = await slow.fire([timer])
    assert (fired.fired, [early.member for early in fired.early]) == (0, [MEMBER])
    assert await scenes.receive(store) == []
    fired = await slow.fire(fired.early)
    assert (fired.fired, fired.early) == (1, ())
    assert scenes.said(await scenes.take(store)) == [not_begun(waiting())]
    await slow.close()


async def test_a_retry_whose_queue_is_unusable_starts_no_wait(store: RedisStore, foreign: Lane) -> None:
    (lease,) = await scenes.with_tasks(store, waiting())
    await scenes.fire(store)
    keys = store.layout.of("one")
    await store.complete([TaskEnd(lease, retry=replace(lease.task, attempt=2), delay_ms=1)], [None])
    await foreign.call("SET", keys.queue("default"), "x")
    while not await scenes.fire(store):
        pass
    assert await foreign.call("EXISTS", keys.timers, keys.retries) == 0
    await foreign.call("DEL", keys.queue("default"))
    await scenes.drain(store)
    letters = await foreign.call("XRANGE", store.layout.hub.dead, "-", "+")
    assert b"unusable" in letters[0][1][1]


async def test_a_full_server_renews_leases_and_takes_their_details(store: RedisStore) -> None:
    (lease,) = await scenes.with_tasks(store, scenes.task())
    await store.lane.call("CONFIG", "SET", "maxmemory", 1)
    try:
        assert await store.renew([], [replace(lease, heartbeat=Raw(b'"%s"' % (b"x" * 100)))]) == Lost()
    finally:
        await store.lane.call("CONFIG", "SET", "maxmemory", 0)
    (stored,) = await store.lane.call("HVALS", store.layout.of("one").beats)
    assert len(stored) == 102


async def test_details_lie_apart_for_every_call(store: RedisStore, other: RedisStore) -> None:
    """Instances whose names could be mixed up with the numbers of calls."""
    leases: list[TaskLease] = []
    for instance in ("a", "a:1", '"a",1'):
        leases += await scenes.with_tasks(store, scenes.task(instance), scenes.task(instance, 11), instance=instance)
    told = [replace(lease, heartbeat=Raw(b"%d" % number)) for number, lease in enumerate(leases)]
    assert await store.renew([], told) == Lost()
    taken = (await other.reclaim(range(4), 0, 0, scenes.demand(10), 0)).tasks
    assert {(lease.task.instance, lease.task.seq): lease.heartbeat for lease in taken} == {
        (lease.task.instance, lease.task.seq): lease.heartbeat for lease in told
    }
    await other.complete([TaskEnd(lease, message=scenes.result(lease)) for lease in taken], [None] * len(taken))
    assert [await store.lane.call("EXISTS", store.layout.partition(number).beats) for number in range(4)] == [0] * 4
    assert all(lease.heartbeat is ABSENT for lease in leases)


async def test_a_task_of_a_newer_release_is_handed_back_as_it_is(store: RedisStore, foreign: Lane) -> None:
    await store.receive_tasks(scenes.demand(), 0)
    queue = store.layout.of("one").queue("default")
    body = encode(scenes.task()).replace(b'"seq":1', b'"seq":1,"later":{"x":[1]}')
    await foreign.call("XADD", queue, "*", "t", body)
    leases = await store.receive_tasks(scenes.demand(), 0)
    await store.hand_back([], leases)
    ((_, fields),) = await foreign.call("XRANGE", queue, "-", "+")
    assert fields == [b"t", body]
