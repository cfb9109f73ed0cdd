"""Purging on real servers: all goes that is stored of a finished instance, in steps where that is much."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import anyio
import pytest

from redurable.core.delivery import Outgoing
from redurable.core.messages import RaiseEvent, Rewind, StartExecution
from redurable.core.values import Parent, RuntimeStatus
from redurable.store.port import StartOutcome, StartRequest
from redurable.store.redis.listing import base_of
from redurable.store.redis.store import RedisStore
from tests.support.redis_state import set_field, waiting

LONG_AGO = 1_700_000_000_000


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
