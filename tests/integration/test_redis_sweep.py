"""The sweep on real servers: foreign mail is found however it came, and those who ring do not wait for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from redurable import App, Client, OrchestrationContext, Worker, WorkerSettings
from redurable.core.ids import partition_of
from redurable.errors import StoreRefused, StoreUnavailable
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore, redis_store
from redurable.store.redis.sweep import WALKS
from redurable.testing.conformance import scenes
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


async def _all_found(store: RedisStore, name: str) -> None:
    assert await store.sweep(0, "", 10_000) == ("", 1)
    assert [entry.instance for entry in await store.receive(range(4), 10, 0)] == [name]
    assert await store.sweep(0, "", 10_000) == ("", 0)


async def test_who_is_new_in_a_crowd_is_found_without_reading_all_of_it(
    crowd: tuple[RedisStore, list[str]], foreign: Lane
) -> None:
    store, _ = crowd
    for number in range(3):
        late = living_in(0, f"late{number}")
        await scenes.running(store, late, f"x{number}")
        await foreign.call("XADD", store.layout.of(late).mailbox(late), "*", "event", "Go")
        assert (await _commands(foreign, store))[0] == 1
        assert b"smembers" not in await foreign.call("INFO", "commandstats")
        assert [entry.instance for entry in await store.receive(range(4), 10, 0)] == [late]


async def test_whom_the_indexes_miss_is_found_with_the_next_look_at_all(
    crowd: tuple[RedisStore, list[str]], foreign: Lane
) -> None:
    store, _ = crowd
    late, keys = living_in(0, "late"), store.layout.partition(0)
    await scenes.running(store, late, "x")
    await foreign.call("ZREM", keys.updated, late)
    assert (await _commands(foreign, store))[0] == 0  # the walk that sees that the list has changed
    await foreign.call("XADD", store.layout.of(late).mailbox(late), "*", "event", "Go")
    assert sum([(await _commands(foreign, store))[0] for _ in range(WALKS)]) == 1


async def test_when_more_took_turns_than_wait_all_who_wait_are_read(
    crowd: tuple[RedisStore, list[str]], foreign: Lane
) -> None:
    store, names = crowd
    keys = store.layout.partition(0)
    seconds, _ = await foreign.call("TIME")
    for number in range(len(names) + 1):
        await foreign.call("ZADD", keys.updated, int(seconds) * 1000, f"gone{number}")
    await foreign.call("SADD", keys.open, living_in(0, "late"))
    assert (await _commands(foreign, store))[1] <= 2  # nobody asks for those that are gone


async def test_who_has_no_mail_is_not_asked_again_while_other_streams_grow(
    crowd: tuple[RedisStore, list[str]], foreign: Lane
) -> None:
    store, _ = crowd
    asked: list[int] = []
    for _ in range(2 * WALKS):
        await foreign.call("XADD", "other", "*", "a", "b")
        announced, commands = await _commands(foreign, store)
        assert announced == 0
        asked.append(commands)
    assert sorted(asked) == [0] * (2 * WALKS - 2) + [6, 6]  # three for mail, three for starts
    await foreign.call("DEL", "other")


async def test_only_those_whose_mailbox_was_written_to_are_asked(
    crowd: tuple[RedisStore, list[str]], foreign: Lane
) -> None:
    store, names = crowd
    for name in names[1_000:1_040]:  # unknown to the hub: mail, but nobody to announce
        await foreign.call("XADD", store.mailbox_key(name), "*", "a", "b")
    in_script = 40
    for _ in range(2):  # as long as there is mail
        assert await _commands(foreign, store) == (0, 1 + in_script)
    for name in names[1_000:1_040]:
        await foreign.call("DEL", store.mailbox_key(name))
    assert await _commands(foreign, store) == (0, 1)
    assert await _commands(foreign, store) == (0, 0)


@pytest.mark.parametrize("way", ["plain", "transaction", "script", "renamed", "restored", "copied"])
async def test_mail_is_found_however_it_was_written(
    crowd: tuple[RedisStore, list[str]], program: Any, way: str
) -> None:
    store, names = crowd
    key = store.mailbox_key(names[1])
    draft = f"{key}-draft"
    if way in ("renamed", "restored", "copied"):
        program.xadd(draft, FIELDS)
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
        case "renamed":
            program.rename(draft, key)
        case "restored":
            program.restore(key, 0, program.dump(draft))
        case _:
            program.copy(draft, key)
    await _all_found(store, names[1])


async def test_mail_is_found_though_the_connection_that_would_tell_was_lost(
    crowd: tuple[RedisStore, list[str]], program: Any
) -> None:
    store, names = crowd
    program.xadd(store.mailbox_key(names[1]), FIELDS)
    for client in program.client_list():
        if "t" in client["flags"]:
            program.client_kill_filter(_id=client["id"])
    with pytest.raises(StoreUnavailable):
        await store.sweep(0, "", 10_000)
    await _all_found(store, names[1])


async def test_a_store_that_is_opened_again_begins_anew(crowd: tuple[RedisStore, list[str]], foreign: Lane) -> None:
    store, _ = crowd
    await store.close()
    await store.open()
    assert [await _commands(foreign, store) for _ in range(3)] == [(0, 6), (0, 0), (0, 0)]


async def test_mail_is_found_though_the_server_forgets_what_was_asked(
    crowd: tuple[RedisStore, list[str]], program: Any
) -> None:
    store, names = crowd
    usual = program.config_get("tracking-table-max-keys")
    program.config_set("tracking-table-max-keys", 10)
    try:
        await store.sweep(0, "", 10_000)
        program.xadd(store.mailbox_key(names[1]), FIELDS)
        await _all_found(store, names[1])
    finally:
        program.config_set("tracking-table-max-keys", usual["tracking-table-max-keys"])


@pytest.fixture
async def limited(crowd: tuple[RedisStore, list[str]], program: Any, server: Server) -> AsyncIterator[RedisStore]:
    """The store for a user named `limited`, who may do everything at first."""
    program.execute_command("ACL", "SETUSER", "limited", "on", "nopass", "~*", "+@all")
    opened = redis_store(f"unix://limited:any@{server.socket}", crowd[0].hub, consumer="limited")
    await opened.open()
    yield opened
    await opened.close()
    program.execute_command("ACL", "DELUSER", "limited")


async def test_a_walk_that_failed_is_made_again(
    crowd: tuple[RedisStore, list[str]], limited: RedisStore, program: Any
) -> None:
    store, names = crowd
    assert await limited.sweep(0, "", 10_000) == ("", 0)
    program.xadd(store.mailbox_key(names[1]), FIELDS)
    program.execute_command("ACL", "SETUSER", "limited", "-@scripting")
    with pytest.raises(StoreRefused):
        await limited.sweep(0, "", 10_000)
    program.execute_command("ACL", "SETUSER", "limited", "+@all")
    await _all_found(limited, names[1])


async def test_a_user_who_may_not_track_asks_for_everybody(
    crowd: tuple[RedisStore, list[str]],
    limited: RedisStore,
    foreign: Lane,
    program: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, names = crowd
    program.execute_command("ACL", "SETUSER", "limited", "-client|tracking")
    for _ in range(2):
        assert (await _commands(foreign, limited))[1] == 6
    program.xadd(store.mailbox_key(names[1]), FIELDS)
    await _all_found(limited, names[1])
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("CLIENT TRACKING ON is refused")
    assert said.endswith("(see `redurable acl`)")


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
    sweep = NEVER_MS if rings else 950
    settings = WorkerSettings(sweep_every_ms=sweep, reclaim_every_ms=NEVER_MS, steal_after_ms=NEVER_MS)
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
            program.xadd(keys.mailbox("one"), FIELDS)
            if rings:
                program.xadd(keys.ready, {"i": "one"})
            assert await handle.result(timeout=20) == 1
        worker.stop()
