"""Keys that another program wrote over, under a running worker: it says so once, all else goes on, and it heals."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from redis import Redis

from redurable import App, Client, OrchestrationContext, RetryPolicy, StoreDamaged, Worker, WorkerStopped
from redurable.core.delivery import Outgoing
from redurable.core.messages import RaiseEvent
from redurable.settings import WorkerSettings
from redurable.store.redis.keys import type_of
from redurable.store.redis.store import RedisStore
from redurable.testing.conformance import scenes
from tests.support.redis_state import letters, living_in, relay_all
from tests.support.servers import Server

SECONDS = 15.0
HERE, THERE = 0, 1
"""The partition that is sound, and the one that is damaged."""

app = App("damage", default_retry=RetryPolicy(max_attempts=1))


@app.activity
async def greet(name: str) -> str:
    return f"Hello {name}"


@app.orchestrator
async def hello(ctx: OrchestrationContext, name: str) -> str:
    await asyncio.sleep(0.01)
    return await ctx.call_activity(greet, name)


@app.orchestrator
async def listen(ctx: OrchestrationContext) -> object:
    return await ctx.wait_for_external_event("Go")


QUICK = WorkerSettings(
    instance_lease_ms=300,
    task_lease_ms=300,
    renew_every_ms=100,
    reclaim_every_ms=50,
    heartbeat_every_ms=50,
    sweep_every_ms=50,
    poll_block_ms=200,
    timer_horizon_ms=200,
)


@asynccontextmanager
async def working(server: Server, hub: str) -> AsyncGenerator[None]:
    """A worker whose end is awaited: what it dies of comes out."""
    async with Worker(app, server.url, hub=hub, settings=QUICK) as worker:
        task = asyncio.get_running_loop().create_task(worker.run())
        try:
            yield
        finally:
            worker.stop()
            await task


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(SECONDS):
        while not condition():  # noqa: ASYNC110 - the log has no event to wait for
            await anyio.sleep(0.01)


@pytest.fixture
def foreign(server: Server) -> Any:
    with server.client() as client:
        yield client


def key_of(store: RedisStore, name: str) -> str:
    keys = store.layout.partition(THERE)
    return keys.queue("default") if name == "tasks" else getattr(keys, name)


async def greeted(client: Client, partition: int, name: str) -> str:
    handle = await client.start(hello, name, instance_id=living_in(partition, name))
    return await handle.result(timeout=SECONDS)


@pytest.mark.parametrize("when", ["before", "during"])
@pytest.mark.parametrize("name", ["ready", "tasks", "timers", "open", "outbox", "cancels"])
async def test_one_damaged_key_stops_one_partition_only(
    server: Server, store: RedisStore, foreign: Redis, caplog: pytest.LogCaptureFixture, name: str, when: str
) -> None:
    key = key_of(store, name)

    def spoil() -> None:
        foreign.delete(key)
        foreign.set(key, "mine")

    if when == "before":
        spoil()
    with caplog.at_level(logging.ERROR):
        async with Client.from_store(store) as client, working(server, store.hub):
            assert await greeted(client, HERE, "Ada") == "Hello Ada"
            if when == "during":
                spoil()
            said = f"{key!r} is a string where redurable keeps a {type_of(key)}: another program has written over it"
            await until(lambda: said in caplog.text)
            assert await greeted(client, HERE, "Grace") == "Hello Grace"
            foreign.delete(key)
            assert await greeted(client, THERE, "Linus") == "Hello Linus"
    assert len([line for line in caplog.messages if said in line]) == 1


@pytest.mark.parametrize("name", ["timers", "outbox", "tasks", "feed", "open", "cancels", "canceled"])
async def test_a_turn_that_cannot_be_written_leaves_no_trace_until_it_can(
    server: Server, store: RedisStore, foreign: Redis, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Whatever the turn wrote before it met the damage is taken back: no activity runs, no message is sent, again and
    again."""
    instance, key = living_in(THERE, "turn"), key_of(store, name)
    ran: list[str] = []
    local = App("damage")

    @local.activity
    async def note(name: str) -> None:
        ran.append(name)

    @local.orchestrator
    async def everything(ctx: OrchestrationContext) -> str:
        idle = ctx.call_activity("nobody has it")
        await ctx.wait_for_external_event("Go")
        noted = [ctx.call_activity(note.options(task_queue="other"), "other"), ctx.call_activity(note, "default")]
        idle.cancel()
        await ctx.raise_event("heard", "Said", instance)
        await asyncio.sleep(0.01)
        await asyncio.gather(*noted)  # A call that nobody has begun when its instance ends is never begun.
        return "done"

    worker = Worker(local, server.url, hub=store.hub, settings=QUICK, task_queues=["default", "other"])
    with caplog.at_level(logging.ERROR):
        async with Client.from_store(store) as client, worker:
            task = asyncio.get_running_loop().create_task(worker.run())
            handle = await client.start(everything, instance_id=instance)
            await until_seen(client, instance, "Running")
            foreign.delete(key)
            foreign.set(key, "mine")
            await client.raise_event(instance, "Go")
            if name in ("feed", "open"):  # Only the last turn needs these.
                await until(lambda: len(ran) == 2)
            await until(lambda: f"{key}: WRONGTYPE" in caplog.text or f"{key!r} is a string" in caplog.text)
            foreign.delete(key)
            if name == "open":
                foreign.sadd(key, instance)
            assert await handle.result(timeout=SECONDS) == "done"
            worker.stop()
            await task
    assert sorted(ran) == ["default", "other"]
    assert foreign.xlen(store.mailbox_key("heard")) == 1


async def until_seen(client: Client, instance: str, status: str) -> None:
    with anyio.fail_after(SECONDS):
        while (await client.get_status(instance)).runtime_status != status:  # noqa: ASYNC110 - another program's state
            await anyio.sleep(0.01)


@pytest.mark.parametrize("name", ["ready", "open"])
async def test_a_start_that_cannot_be_written_is_refused_by_name_and_leaves_nothing(
    store: RedisStore, foreign: Redis, name: str
) -> None:
    key, instance = key_of(store, name), living_in(THERE)
    foreign.delete(key)
    foreign.set(key, "mine")
    async with Client.from_store(store) as client:
        for _ in range(2):
            with pytest.raises(StoreDamaged, match=rf"instance '{instance}' cannot be started: '{key}' is a string"):
                await client.start(hello, "Ada", instance_id=instance)
        assert await store.get(instance) is None
        foreign.delete(key)
        await client.start(hello, "Ada", instance_id=instance)
        assert (await client.get_status(instance)).runtime_status == "Pending"


async def test_a_delayed_start_meets_damaged_timers(store: RedisStore, foreign: Redis) -> None:
    foreign.set(key_of(store, "timers"), "mine")
    instance = living_in(THERE)
    with pytest.raises(StoreDamaged, match=r"cannot be started: 'rd:\S+:timers' is a string where .* keeps a zset"):
        await store.start(scenes.request(instance, delay_ms=1_000))
    assert await store.get(instance) is None


async def test_a_replacement_that_cannot_be_written_erases_nothing(store: RedisStore, foreign: Redis) -> None:
    instance = living_in(THERE)
    await scenes.finished(store, instance)
    foreign.delete(key_of(store, "ready"))
    foreign.set(key_of(store, "ready"), "mine")
    with pytest.raises(StoreDamaged, match="cannot be started"):
        await store.start(scenes.request(instance, "x2", on_conflict="replace-finished"))
    snapshot = await store.get(instance)
    assert snapshot is not None
    assert (snapshot.execution, snapshot.status) == ("x1", "Completed")


async def test_a_damaged_mailbox_and_a_damaged_history_park_their_own_instances(
    server: Server, store: RedisStore, foreign: Redis
) -> None:
    box, history = living_in(HERE, "box"), living_in(HERE, "history")
    async with Client.from_store(store) as client, working(server, store.hub):
        for instance in (box, history):
            await client.start(listen, instance_id=instance)
            await until_seen(client, instance, "Running")
        foreign.set(store.mailbox_key(box), "mine")
        key = store.layout.of(history).history(history)
        foreign.delete(key)
        foreign.set(key, "mine")
        await client.raise_event(history, "Go")
        with anyio.fail_after(SECONDS):
            for instance in (box, history):
                while not (await client.get_status(instance)).quarantined:  # noqa: ASYNC110 - another program's state
                    await anyio.sleep(0.01)
        for instance in (box, history):
            quarantined = (await client.get_status(instance)).quarantined
            assert str(quarantined).startswith(f"unreadable: what is stored of '{instance}' is damaged: WRONGTYPE")
        assert await greeted(client, HERE, "Ada") == "Hello Ada"
        with pytest.raises(StoreDamaged, match=rf"'{key}' is a string where redurable keeps a list"):
            await client.get_history(history)
        foreign.delete(store.mailbox_key(box))
        await client.raise_event(box, "Go", 1)
        assert await client.get_handle(box).result(timeout=SECONDS) == 1


@pytest.mark.parametrize("name", ["intake", "dead"])
async def test_damaged_keys_of_the_hub(
    server: Server, store: RedisStore, foreign: Redis, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    key = getattr(store.layout.hub, name)
    foreign.set(key, "mine")
    with caplog.at_level(logging.ERROR):
        async with Client.from_store(store) as client, working(server, store.hub):
            await client.start(listen, instance_id="one")
            await until_seen(client, "one", "Running")
            foreign.xadd(store.mailbox_key("one"), {"hello": "world"})
            await until(lambda: f"{key!r} is a string where redurable keeps a stream" in caplog.text)
            assert await greeted(client, HERE, "Ada") == "Hello Ada"
            foreign.delete(key)
            if name == "intake":
                foreign.xadd(key, {"event": "Go", "instance": "one", "data": "7"})
                assert await client.get_handle("one").result(timeout=SECONDS) == 7
            await until(lambda: foreign.xlen(store.layout.hub.dead) == 1)
    assert [letter[b"hello"] for letter in await letters(store)] == [b"world"]


@pytest.mark.parametrize(("name", "kind"), [("workers", "zset"), ("skills", "hash")])
async def test_without_membership_a_worker_stops_and_says_why(
    server: Server, store: RedisStore, foreign: Redis, name: str, kind: str
) -> None:
    key = f"rd:{{{store.hub}}}:{name}"
    foreign.set(key, "mine")
    with pytest.raises(
        WorkerStopped, match=rf"membership died: StoreDamaged: '{key}' is a string where .* keeps a {kind}"
    ):
        async with Worker(app, server.url, hub=store.hub, settings=QUICK) as worker:
            await worker.run()


async def test_a_stream_whose_ids_are_used_up_is_named(store: RedisStore, foreign: Redis) -> None:
    key, instance = key_of(store, "ready"), living_in(THERE)
    foreign.xadd(key, {"i": "nobody"}, id="18446744073709551615-18446744073709551615")
    with pytest.raises(StoreDamaged, match=rf"the stream '{key}' takes no more entries: another program has used up"):
        await store.start(scenes.request(instance))
    assert await store.get(instance) is None


async def test_members_of_the_open_set_and_the_timers_may_be_anything(
    server: Server, store: RedisStore, foreign: Redis
) -> None:
    foreign.sadd(key_of(store, "open"), b"\xff\xfe", b"", "nobody", b"\x00" * 300)
    foreign.zadd(store.layout.hub.workers, {b"\xff\xfe": time.time() * 1_000, b"": 9e15})
    members: dict[Any, float] = {b"\xff\xfe": 0, b"[]": 0, b'["t","x",1,"nobody"]': 0, b'["q","",1,"one"]': 0, b"": 0}
    foreign.zadd(key_of(store, "timers"), members)
    async with Client.from_store(store) as client, working(server, store.hub):
        assert await greeted(client, THERE, "Ada") == "Hello Ada"
        await until(lambda: foreign.zcard(key_of(store, "timers")) == 0)
        await relay_all(store)
    assert sorted(letter[b"reason"] for letter in await letters(store)) == [b"the timer cannot be read"] * 4


async def test_a_damaged_child_partition_is_told_to_the_dead_letters(store: RedisStore, foreign: Redis) -> None:
    """A relay must not wait for one partition with the messages of all others."""
    foreign.set(key_of(store, "open"), "mine")
    parent = living_in(HERE, "parent")
    delivery = await scenes.begin(store, parent)
    child = Outgoing(living_in(THERE, "child"), scenes.request("any").message)
    event = Outgoing(living_in(HERE, "other"), RaiseEvent(name="Go"))
    await scenes.accept(store, scenes.turn(delivery, "h1", outbox=(child, event)))
    assert (await store.relay(HERE, 10)).count == 2
    assert foreign.xlen(store.mailbox_key(event.instance)) == 1
    await relay_all(store)
    [letter] = await letters(store)
    assert letter[b"reason"].startswith(b"the instance cannot be started: WRONGTYPE")
    assert letter[b"instance"] == child.instance.encode()
