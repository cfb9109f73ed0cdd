"""Sweeping, membership and purging on real servers: what is healed when bells, consumers or processes get lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import Any

import anyio
import pytest
from redis import Redis

from redurable.core.delivery import Outgoing
from redurable.core.messages import RaiseEvent, Rewind, StartExecution
from redurable.core.values import Parent, RuntimeStatus
from redurable.store.membership import Skills
from redurable.store.port import StartOutcome, StartRequest, TaskDemand
from redurable.store.redis.listing import base_of
from redurable.store.redis.store import RedisStore, redis_store
from redurable.store.redis.sweep import OVERDUE_MS
from tests.support.redis_state import get_field, living_in, set_field, start
from tests.support.servers import Server

LONG_AGO = 1_700_000_000_000


@pytest.fixture
def foreign(server: Server) -> Iterator[Redis]:
    with server.client() as client:
        yield client


async def waiting(store: RedisStore, instance: str) -> None:
    """An instance whose mail was read, and that nobody announces."""
    await start(store, instance)
    keys = store.layout.of(instance)
    for entry in await store.receive([keys.number], 100, 0):
        await store.lane.call("XACK", keys.ready, "w", entry.id)
        await store.lane.call("XDEL", keys.ready, entry.id)
        await set_field(store, entry.instance, "q", "")
        await store.lane.call("DEL", keys.start(entry.instance))


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


async def finished(store: RedisStore, instance: str, past: int = 0) -> None:
    """A finished instance with everything that can be stored of one."""
    await waiting(store, instance)
    await store.send([Outgoing(instance, RaiseEvent(name="Unread"))])
    keys = store.layout.of(instance)
    for number in range(past):
        await store.lane.call("RPUSH", keys.executions(instance), f"e-{number}")
        await store.lane.call("RPUSH", keys.past(instance, f"e-{number}"), "event")
    for key in (keys.history(instance), keys.custom_status(instance), keys.quarantine(instance), keys.start(instance)):
        await store.lane.call("SET", key, "x")
    await set_field(store, instance, "s", "Completed")


async def keys_of(store: RedisStore, instance: str) -> list[bytes]:
    return sorted(await store.lane.call("KEYS", f"*{store.hub}*:{instance}"))


async def test_purging_leaves_nothing_of_an_instance_with_a_long_past(store: RedisStore) -> None:
    await finished(store, "i-10")
    await finished(store, "i-1", past=1_500)
    neighbour = await keys_of(store, "i-10")
    assert len(await keys_of(store, "i-1")) == 1_507
    assert await store.purge("i-1") == "purged"
    assert await keys_of(store, "i-1") == []
    assert await keys_of(store, "i-10") == neighbour
    assert not await store.lane.call("SISMEMBER", store.layout.of("i-1").open, "i-1")
    assert await store.purge("i-1") == "missing"


async def test_an_instance_that_runs_is_not_purged(store: RedisStore) -> None:
    await finished(store, "i-1", past=2)
    await set_field(store, "i-1", "s", "Suspended")
    before = await keys_of(store, "i-1")
    assert await store.purge("i-1") == "running"
    assert await keys_of(store, "i-1") == before


async def test_what_is_rewound_while_it_is_purged_keeps_its_past(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finished(store, "i-1", past=3)
    keys = store.layout.of("i-1")

    async def rewind() -> None:
        await store.lane.call("RPUSH", keys.executions("i-1"), "e1")
        await store.lane.call("RENAME", keys.history("i-1"), keys.past("i-1", "e1"))
        await store.lane.call("HSET", keys.instance("i-1"), "x", "e2", "s", "Running")

    before(store, monkeypatch, "purge", rewind)
    assert await store.purge("i-1") == "running"
    past = [keys.past("i-1", execution) for execution in ("e-0", "e-1", "e-2", "e1")]
    assert await store.lane.call("EXISTS", *past) == 4


MANY = 1_200
"So many past histories are purged in three steps."


async def test_a_purge_that_died_between_its_steps_is_finished_by_the_next(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finished(store, "i-1", past=MANY)

    async def die() -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        before(store, patch, "purge", die, step=3)
        with pytest.raises(ConnectionError):
            await store.purge("i-1")
    left = await store.executions("i-1")
    assert left == ["e-0", *(f"e-{number}" for number in range(MANY - len(left) + 2, MANY)), "e1"]
    assert 250 < len(left) <= 502
    assert len(await keys_of(store, "i-1")) == 7 + len(left) - 1
    assert await store.purge("i-1") == "purged"
    assert await keys_of(store, "i-1") == []


@pytest.mark.parametrize("what", ["running", "awaited"])
async def test_a_purge_stops_at_what_goes_on_between_its_steps(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await finished(store, "i-1", past=MANY)
    await store.lane.call("DEL", store.layout.of("i-1").quarantine("i-1"))

    async def go_on() -> None:
        if what == "running":
            await set_field(store, "i-1", "s", "Running")
        else:
            await store.send([Outgoing("i-1", Rewind(parent=Parent("mother", "m1", 1), heir="m2"))])

    before(store, monkeypatch, "purge", go_on, step=2)
    assert await store.purge("i-1") == what
    left = await store.executions("i-1")
    assert len(left) > 501
    assert len(await keys_of(store, "i-1")) == 6 + len(left) - 1


async def test_an_instance_with_a_long_past_is_replaced(store: RedisStore) -> None:
    await finished(store, "i-1", past=MANY)
    again = StartRequest("i-1", StartExecution(name="Demo", execution="e-0"), on_conflict="replace-finished")
    assert await store.start(again) is StartOutcome.STARTED
    assert len(await store.executions("i-1")) == MANY + 1, "a repeated start is no reason to forget anything"
    anew = StartRequest("i-1", StartExecution(name="Demo", execution="new"), on_conflict="replace-finished")
    assert await store.start(anew) is StartOutcome.STARTED
    assert await store.executions("i-1") == ["new"]
    assert len(await keys_of(store, "i-1")) == 2


async def test_what_ends_anew_while_the_list_is_read_is_not_old(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("old", "new"):
        await finished(store, name)
        keys = store.layout.of(name)
        await store.lane.call("ZADD", keys.ended, base_of(RuntimeStatus.COMPLETED) + LONG_AGO, name)
    ages, keys = {RuntimeStatus.COMPLETED: 3_600_000}, store.layout.of("new")

    async def end_anew() -> None:
        seconds, _ = await store.lane.call("TIME")
        await store.lane.call("ZADD", keys.ended, base_of(RuntimeStatus.COMPLETED) + int(seconds) * 1000, "new")

    before(store, monkeypatch, "overdue", end_anew)
    found = [one.instance for number in range(store.partitions) for one in await store.expired(number, ages, 10)]
    assert found == ["old"]
    assert await store.lane.call("ZSCORE", keys.ended, "new") is not None


def before(
    store: RedisStore, patch: pytest.MonkeyPatch, verb: str, act: Callable[[], Awaitable[None]], step: int = 1
) -> None:
    """Something happens right before this script runs for the first time, or for the `step`th."""
    script, runs = store.lane.script, count(1)

    async def run(name: str, *parts: Any) -> Any:
        if name == verb and next(runs) == step:
            await act()
        return await script(name, *parts)

    patch.setattr(store.lane, "script", run)


async def test_an_instance_that_was_replaced_meanwhile_is_not_purged(store: RedisStore) -> None:
    """The last step purges what was looked at, or nothing."""
    await finished(store, "i-1", past=1)
    keys = store.layout.of("i-1")
    own = [keys.instance("i-1"), keys.executions("i-1"), keys.mailbox("i-1"), keys.start("i-1")]
    names = [keys.open, keys.ix, keys.ended, keys.parked, *own]
    assert await store.lane.script("purge", names, ["i-1", "e1", len(own), 0, 0, 0]) == b"again"
    await set_field(store, "i-1", "x", "e2")
    names.append(keys.past("i-1", "e-0"))
    assert await store.lane.script("purge", names, ["i-1", "e1", len(own), 0, 0, 1]) == b"again"
    assert len(await keys_of(store, "i-1")) == 8


async def test_workers_purge_an_instance_once(store: RedisStore, other: RedisStore) -> None:
    await finished(store, "i-1", past=2_000)
    answers: list[str] = []

    async def purge(worker: RedisStore) -> None:
        answers.append(await worker.purge("i-1"))

    async with anyio.create_task_group() as group:
        group.start_soon(purge, store)
        group.start_soon(purge, other)
    assert sorted(answers) == ["missing", "purged"]
    assert await keys_of(store, "i-1") == []
