"""External events on real servers: before the start, for nobody, unread, and what all of this costs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest

from redurable import App, Client, OrchestrationContext, OrchestrationTerminated, Worker
from redurable.core.delivery import Outgoing
from redurable.core.messages import RaiseEvent
from redurable.core.values import RuntimeStatus
from redurable.errors import StoreFull, StoreRefused
from redurable.settings import WorkerSettings
from redurable.store.port import SendOutcome
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore
from redurable.store.unknown import UnknownInstance
from redurable.telemetry.metrics import Metrics, Names
from redurable.testing.conformance import scenes
from tests.support.servers import Server

app = App("events")


@app.activity
async def work(number: int) -> int:
    return number


@app.orchestrator
async def listener(ctx: OrchestrationContext, wanted: int) -> list[object]:
    """Everything that it sees, in the order in which it sees it."""
    seen: list[object] = []

    async def listen(name: str) -> None:
        while True:
            seen.append(await ctx.wait_for_external_event(name))

    async def do() -> None:
        seen.append(f"did {await ctx.call_activity(work, 1)}")

    async with asyncio.TaskGroup() as group:
        listening = [group.create_task(listen(name)) for name in ("A", "B")]
        group.create_task(do())
        while len(seen) < wanted:
            await ctx.wait_for_external_event("Look")
        for task in listening:
            task.cancel()
    return seen


@app.orchestrator
async def parent(ctx: OrchestrationContext, child: str) -> list[object]:
    await ctx.raise_event(child, "B", "from the parent")
    await ctx.wait_for_external_event("Go")
    return await ctx.call_sub_orchestrator(listener.options(instance_id=child), 4)


@app.orchestrator
async def deaf(ctx: OrchestrationContext) -> object:
    return await ctx.wait_for_external_event("Never")


@asynccontextmanager
async def working(server: Server, hub: str, **settings: Any) -> AsyncGenerator[Worker]:
    """A worker that runs until the block ends."""
    async with Worker(app, server.url, hub=hub, settings=WorkerSettings(**settings)).running() as worker:
        yield worker


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(15):
        while not await condition():  # noqa: ASYNC110 - the state of another process
            await anyio.sleep(0.01)


@pytest.fixture
async def client(server: Server, hub: str, store: RedisStore) -> AsyncGenerator[Client]:
    async with Client(server.url, hub=hub) as opened:
        yield opened


@pytest.mark.parametrize("way", ["client", "delayed", "intake", "child"])
async def test_events_before_the_start_come_first(
    server: Server, hub: str, client: Client, foreign: Lane, way: str
) -> None:
    async with working(server, hub):
        await client.start(parent, "one", instance_id="mother")
        await until(lambda: _kept(foreign, client, "one", 1))
        for number in range(2):
            await client.raise_event("one", "A", number, event_id=f"a-{number}")
            await client.raise_event("one", "A", "again", event_id=f"a-{number}")
        await foreign.call("XADD", f"rd:{{{hub}}}:intake", "*", "instance", "one", "event", "B", "data", '"foreign"')
        await until(lambda: _kept(foreign, client, "one", 4))
        match way:
            case "client":
                await client.start(listener, 4, instance_id="one")
            case "delayed":
                await client.start(listener, 4, instance_id="one", delay=timedelta(milliseconds=300))
            case "intake":
                fields = ("instance", "one", "start", "listener", "input", "4")
                await foreign.call("XADD", f"rd:{{{hub}}}:intake", "*", *fields)
            case _:
                await client.raise_event("mother", "Go")
        if way in ("client", "delayed"):
            await client.raise_event("one", "Look")
        else:
            await until(lambda: _exists(client, "one"))
            await client.raise_event("one", "Look")
        result = await client.get_handle("one", result_type=list[object]).result(timeout=15)
    assert result[:4] == ["from the parent", 0, 1, "foreign"]


async def _kept(foreign: Lane, client: Client, instance: str, count: int) -> bool:
    return await foreign.call("XLEN", client._link.store.mailbox_key(instance)) == count  # pyright: ignore[reportPrivateUsage]


async def _exists(client: Client, instance: str) -> bool:
    return await client._link.store.get(instance) is not None  # pyright: ignore[reportPrivateUsage]


async def test_a_worker_writes_the_rule_and_all_go_by_it(
    server: Server, hub: str, client: Client, store: RedisStore, foreign: Lane, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics(hub, Names())
    client.facts.subscribe(metrics)
    keys = [store.layout.partition(number).unknown for number in range(store.partitions)]
    assert await foreign.call("EXISTS", *keys) == 0  # Nobody has said anything: there is nothing to store.

    def counted(outcome: str) -> float | None:
        labels = {"hub": hub, "outcome": outcome}
        return metrics.registry.get_sample_value("redurable_unclaimed_events_total", labels)

    with caplog.at_level(logging.WARNING, "redurable"):
        async with working(server, hub, unknown_instance="dead-letter") as worker:
            worker.facts.subscribe(metrics)
            await until(lambda: _count(foreign.call("EXISTS", *keys), len(keys)))
            await client.raise_event("nobody", "A", 1)
            await foreign.call("XADD", f"rd:{{{hub}}}:intake", "*", "instance", "nobody", "event", "A", "data", "2")
            await foreign.call("XADD", f"rd:{{{hub}}}:intake", "*", "instance", "nobody", "cancel_", "x")
            await foreign.call("XADD", f"rd:{{{hub}}}:intake", "*", "instance", "nobody", "suspend", "audit")
            await client.start(parent, "nobody", instance_id="mother")
            await until(lambda: _count(foreign.call("XLEN", store.layout.hub.dead), 5))
        assert (counted("buried"), counted("kept"), counted("dropped")) == (3, 0, 0)

        async with working(server, hub, unknown_instance="drop") as worker:
            worker.facts.subscribe(metrics)
            await until(lambda: _rule_is(foreign, keys, b"drop"))
            await client.raise_event("nobody", "A", 1)
            await foreign.call("XADD", f"rd:{{{hub}}}:intake", "*", "instance", "nobody", "event", "A", "data", "2")
            await until(lambda: _count(foreign.call("XLEN", store.layout.hub.intake), 0))
        assert counted("dropped") == 2
    assert await foreign.call("XLEN", store.layout.hub.dead) == 5
    assert await foreign.call("EXISTS", store.mailbox_key("nobody")) == 0
    lines = [line for line in caplog.messages if "nobody" in line or "does not exist" in line]
    assert sum("dead letters" in line for line in lines) == 3
    assert sum("dropped" in line for line in lines) == 2


async def _count(answer: Awaitable[Any], wanted: int) -> bool:
    return await answer == wanted


async def _rule_is(foreign: Lane, keys: list[str], rule: bytes) -> bool:
    return {await foreign.call("HGET", key, "rule") for key in keys} == {rule}


async def test_unread_events_are_in_the_status_and_survive_a_cold_start(
    server: Server, hub: str, client: Client, foreign: Lane
) -> None:
    async with working(server, hub):
        await client.start(deaf, instance_id="one")
        for _ in range(3):
            await client.raise_event("one", "Approval")
        await client.raise_event("one", "approval")
        await until(lambda: _unread_is(client, {"Approval": 3, "approval": 1}))
    async with working(server, hub):
        await client.raise_event("one", "Approval")
        await until(lambda: _unread_is(client, {"Approval": 4, "approval": 1}))
        status = await client.get_status("one")
        assert (status.unread_mail, status.runtime_status) == (0, RuntimeStatus.RUNNING)
        await client.terminate("one")
        with pytest.raises(OrchestrationTerminated):
            await client.get_handle("one").result(timeout=15)


async def _unread_is(client: Client, wanted: dict[str, int]) -> bool:
    return (await client.get_status("one")).unread_events == wanted


async def test_counting_them_costs_no_command(store: RedisStore, foreign: Lane) -> None:
    await scenes.running(store)
    costs: list[dict[str, int]] = []
    for head, unread in (("h2", None), ("h3", {"Approval": 101}), ("h4", {})):
        await scenes.send(store, "one", scenes.event())
        (entry,) = await scenes.receive(store)
        before = await _calls(foreign)
        delivery = await scenes.checkout(store, entry)
        await scenes.accept(store, scenes.turn(delivery, head, scenes.raised(), unread=unread))
        after = await _calls(foreign)
        costs.append({name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)})
    assert costs[0] == costs[1] == costs[2]
    hash_ = store.layout.of("one").instance("one")
    assert await foreign.call("HGET", hash_, "b") == b"{}"


async def _calls(foreign: Lane) -> dict[str, int]:
    text: bytes = await foreign.call("INFO", "commandstats")
    rows = (line.removeprefix("cmdstat_").split(":calls=") for line in text.decode().splitlines() if ":calls=" in line)
    return {name: int(rest.split(",")[0]) for name, rest in rows if not name.startswith("info")}


async def test_a_server_out_of_memory_keeps_no_event(store: RedisStore, foreign: Lane) -> None:
    await store.send([Outgoing("one", RaiseEvent(name="A", id="a-1"))])
    await foreign.call("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(StoreFull, match="out of memory"):
            await store.send([Outgoing("one", RaiseEvent(name="B", id="b-1"))])
    finally:
        await foreign.call("CONFIG", "SET", "maxmemory", 0)
    assert await foreign.call("XLEN", store.mailbox_key("one")) == 1
    assert await store.send([Outgoing("one", RaiseEvent(name="B", id="b-1"))]) == [SendOutcome.KEPT]
    delivery = await scenes.begin(store)
    assert [event.name for event in scenes.events(delivery)] == ["A", "B"]
    assert await foreign.call("EXISTS", store.layout.of("one").kept("one")) == 0


async def test_what_is_kept_leaves_no_key_behind(store: RedisStore, foreign: Lane) -> None:
    keys = store.layout.of("one")
    await store.set_unknown(UnknownInstance(keep_ms=60_000))
    await store.send([Outgoing("one", RaiseEvent(name="A", id="a-1"))])
    for key in (keys.mailbox("one"), keys.kept("one")):
        assert 0 < await foreign.call("PTTL", key) <= 60_000
    await store.set_unknown(UnknownInstance(keep_ms=50))
    await store.send([Outgoing("two", RaiseEvent(name="A", id="a-1"))])
    keys = store.layout.of("two")
    await until(lambda: _count(foreign.call("EXISTS", keys.mailbox("two"), keys.kept("two")), 0))


async def test_a_rule_that_another_program_damaged_keeps(store: RedisStore, foreign: Lane) -> None:
    keys = store.layout.of("one")
    for command in (("SET", keys.unknown, "x"), ("HSET", keys.unknown, "rule", "no such rule", "most", "x")):
        await foreign.call("DEL", keys.unknown)
        await foreign.call(*command)
        assert await store.send([Outgoing("one", RaiseEvent(name="A"))]) == [SendOutcome.KEPT]
    assert len((await scenes.begin(store)).mails) == 2


async def test_a_delayed_start_ends_before_its_time_or_not_at_all(server: Server, hub: str, client: Client) -> None:
    async with working(server, hub):
        for instance in ("ends", "waits"):
            await client.start(listener, 0, instance_id=instance, delay=timedelta(hours=1))
            await client.suspend(instance, "audit")
        await client.terminate("ends", "not needed")
        with pytest.raises(OrchestrationTerminated, match="not needed"):
            await client.get_handle("ends").result(timeout=15)
        await until(lambda: _is_quiet(client, "waits"))
        status = await client.get_status("waits")
        assert (status.runtime_status, status.unread_mail, status.quarantined) == (RuntimeStatus.PENDING, 1, None)


async def _is_quiet(client: Client, instance: str) -> bool:
    store = client._link.store  # pyright: ignore[reportPrivateUsage]
    assert isinstance(store, RedisStore)
    return await store.lane.call("HGET", store.layout.of(instance).instance(instance), "q") == b""


async def test_an_event_that_can_be_neither_kept_nor_buried_is_refused(store: RedisStore, foreign: Lane) -> None:
    await store.set_unknown(UnknownInstance("dead-letter"))
    outbox = store.layout.of("one").outbox
    await foreign.call("SET", outbox, "x")
    with pytest.raises(StoreRefused, match="'one'"):
        await store.send([Outgoing("one", RaiseEvent(name="A"))])
    await foreign.call("DEL", outbox)
    assert await store.send([Outgoing("one", RaiseEvent(name="A"))]) == [SendOutcome.BURIED]
