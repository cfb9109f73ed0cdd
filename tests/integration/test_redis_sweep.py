"""The sweep on real servers: foreign mail is found however it came, and those who ring do not wait for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from redurable import App, Client, OrchestrationContext, Worker, WorkerSettings
from redurable.core.ids import partition_of
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore, redis_store
from redurable.store.redis.sweep import WALKS
from tests.support.redis_state import living_in, start
from tests.support.servers import Server

NEVER_MS = 3_600_000
FIELDS: dict[Any, Any] = {"event": "Go", "data": "1"}

app = App("sweep")


@app.orchestrator
async def wait_for_go(ctx: OrchestrationContext) -> int:
    return await ctx.wait_for_external_event("Go", int)


@pytest.fixture
def program(server: Server) -> Iterator[Any]:
    with server.client() as client:
        yield client


@pytest.fixture
async def crowd(store: RedisStore, foreign: Lane) -> tuple[RedisStore, list[str]]:
    """Instances of one partition that wait, so many that a walk asks several times."""
    names = [living_in(0, f"n{number}") for number in range(2_500)]
    keys = store.layout.partition(0)
    for name in names[:3]:
        await start(store, name)
    for entry in await store.receive(range(4), 100, 0):
        await foreign.call("XACK", keys.ready, "w", entry.id)
        await foreign.call("XDEL", keys.ready, entry.id)
    for name in names[:3]:
        await foreign.call("DEL", keys.start(name))
        await foreign.call("HSET", keys.instance(name), "s", "Running", "q", "")
    await foreign.call("SADD", keys.open, *names)
    while (await _commands(foreign, store))[0]:  # until nothing is found, so that a walk is not made again
        pass
    return store, names


async def _commands(foreign: Lane, store: RedisStore) -> tuple[int, int]:
    """A sweep: how many were announced, and how many EXISTS it took."""
    await foreign.call("CONFIG", "RESETSTAT")
    cursor, announced = await store.sweep(0, "", 10_000)
    assert cursor == ""
    text: bytes = await foreign.call("INFO", "commandstats")
    return announced, int(text.partition(b"cmdstat_exists:calls=")[2].partition(b",")[0] or 0)


async def test_nothing_is_asked_while_nothing_was_appended_anywhere(
    crowd: tuple[RedisStore, list[str]], program: Any
) -> None:
    store, _ = crowd
    asked: list[int] = []
    program.xadd("other", {"a": "b"})
    for _ in range(2 * WALKS):
        before = program.info("commandstats").get("cmdstat_exists", {"calls": 0})["calls"]
        assert await store.sweep(0, "", 10_000) == ("", 0)
        asked.append(program.info("commandstats").get("cmdstat_exists", {"calls": 0})["calls"] - before)
    assert [count for count in asked if count] == [3] * asked.count(3)
    assert 2 <= asked.count(3) <= 4
    program.delete("other")


@pytest.mark.parametrize("way", ["plain", "transaction", "script", "renamed"])
async def test_mail_is_found_however_it_was_written(
    crowd: tuple[RedisStore, list[str]], program: Any, way: str
) -> None:
    store, names = crowd
    key = store.mailbox_key(names[1])
    await store.sweep(0, "", 10_000)
    match way:
        case "plain":
            program.xadd(key, FIELDS)
        case "transaction":
            with program.pipeline(transaction=True) as pipe:
                pipe.xadd(key, FIELDS)
                pipe.execute()
        case "script":
            program.eval("return redis.call('XADD', KEYS[1], '*', 'event', 'Go', 'data', '1')", 1, key)
        case _:
            program.xadd(f"{key}-draft", FIELDS)
            await store.sweep(0, "", 10_000)
            program.rename(f"{key}-draft", key)
    announced = 0
    for _ in range(WALKS):
        announced += (await store.sweep(0, "", 10_000))[1]
    assert announced == 1
    assert [entry.instance for entry in await store.receive(range(4), 10, 0)] == [names[1]]


async def test_who_begins_to_wait_later_is_seen_at_once(crowd: tuple[RedisStore, list[str]], program: Any) -> None:
    """Also when the number of those who wait stays the same."""
    store, names = crowd
    keys, fresh = store.layout.partition(0), living_in(0, "fresh")
    await store.sweep(0, "", 10_000)
    await start(store, fresh)
    program.srem(keys.open, names[2_000])
    program.xadd(keys.feed, {"i": names[2_000], "x": "e1", "s": "Completed"})
    program.delete(keys.start(fresh))
    program.hset(keys.instance(fresh), "q", "")
    program.xadd(keys.mailbox(fresh), FIELDS)
    assert await store.sweep(0, "", 10_000) == ("", 1)


@pytest.mark.parametrize("rings", [True, False])
async def test_whoever_rings_is_heard_at_once_and_who_does_not_by_the_sweep(
    server: Server, hub: str, program: Any, rings: bool
) -> None:
    settings = WorkerSettings(sweep_every_ms=NEVER_MS if rings else 950, reclaim_every_ms=NEVER_MS)
    async with Worker(app, server.url, hub=hub, settings=settings) as worker, anyio.create_task_group() as group:
        group.start_soon(worker.run)
        async with Client(server.url, hub=hub) as client:
            handle = await client.start(wait_for_go.options(instance_id="one"))
            for _ in range(1_000):
                if (await client.get_status("one")).runtime_status == "Running":
                    break
                await anyio.sleep(0.01)
            opened = redis_store(server.url, hub)
            keys = opened.layout.partition(partition_of("one", opened.partitions))
            begun = time.monotonic()
            program.xadd(keys.mailbox("one"), FIELDS)
            if rings:
                program.xadd(keys.ready, {"i": "one"})
            assert await handle.result(timeout=10) == 1
            assert time.monotonic() - begun < (0.5 if rings else 2.5)
        worker.stop()
