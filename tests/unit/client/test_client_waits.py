"""Waiting for results, and a store that fails, hangs or goes away."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from redurable import (
    Client,
    Handle,
    InstanceFinished,
    InstanceNotFound,
    StoreUnavailable,
)
from redurable.client import changes, link
from redurable.core.delivery import Outgoing
from redurable.core.events import EventRaised, ExecutionStarted
from redurable.core.messages import RaiseEvent
from redurable.store.inspect import Snapshot
from redurable.store.memory import MemoryStore
from redurable.store.port import SendOutcome, StartOutcome, StartRequest
from tests.unit.client.bench import Bench, Order, Receipt, process, rounds


@pytest.fixture
def no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits hear of changes by the feed alone."""
    monkeypatch.setattr(changes, "_LOOK_AGAIN", 3600.0)


@asynccontextmanager
async def waiting(store: MemoryStore, reads: int) -> AsyncGenerator[None, None]:
    """Leave the block once the store has been asked for snapshots so many times."""
    enough, seen, get = anyio.Event(), 0, store.get

    async def counted(instance: str) -> Snapshot | None:
        nonlocal seen
        seen += 1
        if seen >= reads:
            enough.set()
        return await get(instance)

    setattr(store, "get", counted)  # noqa: B010 - replaced for this block only
    yield
    await enough.wait()
    del store.get


async def test_waits_are_woken_by_the_feed(bench: Bench, client: Client, no_second_look: None) -> None:
    ids = [f"order-{number}" for number in range(20)]
    handles = [await client.start(process, Order(lines=["a"]), instance_id=name) for name in ids]
    await bench.turns()
    results: dict[str, int] = {}

    async def wait(handle: Handle[Receipt]) -> None:
        results[handle.instance_id] = (await handle.result(timeout=30)).total

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            async with waiting(bench.store, 40):
                for handle in handles * 2:
                    group.start_soon(wait, handle)
            for number, name in enumerate(ids):
                await client.raise_event(name, "Price", number)
            await bench.turns()
    assert results == {name: number for number, name in enumerate(ids)}


async def test_a_lost_ring_costs_time_only(bench: Bench, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(after: dict[int, str], block_ms: int) -> list[Any]:
        raise StoreUnavailable("no feed today")

    monkeypatch.setattr(changes, "_LOOK_AGAIN", 0.01)
    monkeypatch.setattr(bench.store, "feed", silent)
    handle = await client.start(process, Order(lines=["a"]), instance_id="x")
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(handle.result)
            async with waiting(bench.store, 3):
                pass
            await client.raise_event("x", "Price", 3)
            await bench.turns()
    assert await handle.result() == Receipt(total=3)


async def test_a_result_that_does_not_come_in_time(bench: Bench, client: Client) -> None:
    handle = await client.start(process, Order(lines=[]), instance_id="slow")
    with pytest.raises(TimeoutError, match=r"instance 'slow' has not finished within 0\.01 s"):
        await handle.result(timeout=0.01)


async def test_continue_as_new_is_followed_or_not(bench: Bench, client: Client) -> None:
    handle = await client.start(rounds, 2, instance_id="r")
    await bench.turns()
    for _ in range(2):
        await client.raise_event("r", "Next")
        await bench.turns()
    assert await handle.result(follow=False) is None
    with pytest.raises(TimeoutError):
        await handle.result(timeout=0.01)
    await client.raise_event("r", "Next")
    await bench.turns()
    assert await handle.result() == "done"
    assert await client.get_handle("r").result(follow=False) == "done"

    executions = await client.list_executions("r")
    assert len(executions) == 3
    assert executions[0] == handle.execution
    firsts = [(await client.get_history("r", execution))[0] for execution in executions]
    assert [first.number for first in firsts if isinstance(first, ExecutionStarted)] == [1, 2, 3]
    assert await client.get_history("r") == await client.get_history("r", executions[-1])
    with pytest.raises(InstanceNotFound, match="no execution 'x9', or has it no more; of 3 that are kept, the newest"):
        await client.get_history("r", "x9")
    with pytest.raises(InstanceNotFound, match="no instance 'nobody'"):
        await client.get_history("nobody")
    with pytest.raises(InstanceNotFound, match="no instance 'nobody'"):
        await client.list_executions("nobody")


async def test_a_wait_does_not_ask_for_executions_that_may_be_forgotten(
    bench: Bench, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_LOOK_AGAIN", 0.01)
    await client.start(rounds, 5, instance_id="r")
    await bench.turns()
    monkeypatch.setattr(bench.store, "executions", None)
    results: list[object] = []

    async def collect() -> None:
        results.append(await client.get_handle("r").result())

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(collect)
            for _ in range(6):
                async with waiting(bench.store, 2):
                    pass
                await client.raise_event("r", "Next")
                await bench.turns()
                await bench.store.prune("r", 0)
    assert results == ["done"]


def faulty(verb: Callable[..., Any], faults: int, after: bool) -> tuple[Callable[..., Any], list[Any]]:
    """The verb fails so many times, before or after it has done its work; also the arguments of all attempts."""
    calls: list[Any] = []

    async def failing(*args: Any) -> Any:
        calls.append(args)
        if len(calls) > faults:
            return await verb(*args)
        if after:
            await verb(*args)
        raise StoreUnavailable("connection lost")

    return failing, calls


@pytest.mark.parametrize("after", [False, True], ids=["request lost", "answer lost"])
async def test_writes_are_repeated_under_the_same_ids(
    bench: Bench, client: Client, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    monkeypatch.setattr(link, "_FIRST_WAIT", 0.001)
    store = bench.store
    for name in ("start", "send", "purge"):
        failing, calls = faulty(getattr(store, name), 3, after)
        monkeypatch.setattr(store, name, failing)
        match name:
            case "start":
                handle = await client.start(process, Order(lines=["a"]), instance_id="x")
                request = calls[0][0]
                assert isinstance(request, StartRequest)
                assert request.message.execution == handle.execution
            case "send":
                await client.raise_event("x", "Price", 5)
                await bench.turns()
                history = await client.get_history("x")
                assert sum(isinstance(event, EventRaised) for event in history) == 1
            case _:
                await client.purge("x")
        assert calls == [calls[0]] * 4


@pytest.mark.parametrize("arrives", [True, False], ids=["answer lost", "request lost"])
async def test_an_event_that_is_sent_again_to_an_instance_that_has_finished_meanwhile(
    bench: Bench, client: Client, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    """It is no error if the instance has read it, and one if another event has ended it."""
    monkeypatch.setattr(link, "_FIRST_WAIT", 0.001)
    await client.start(rounds, 1, instance_id="r")
    await bench.turns()
    await client.raise_event("r", "Next")
    await bench.turns()
    send, lost = bench.store.send, [StoreUnavailable("connection lost")]

    async def losing(messages: Sequence[Outgoing]) -> list[SendOutcome]:
        if not lost:
            return await send(messages)
        await send(messages if arrives else [Outgoing("r", RaiseEvent(name="Next", id="another"))])
        await bench.turns()
        raise lost.pop()

    monkeypatch.setattr(bench.store, "send", losing)
    if arrives:
        await client.raise_event("r", "Next", event_id="last")
    else:
        with pytest.raises(InstanceFinished):
            await client.raise_event("r", "Next", event_id="last")
    assert await client.get_handle("r").result() == "done"


async def test_a_store_that_stays_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(request: StartRequest) -> StartOutcome:
        raise StoreUnavailable("connection refused")

    monkeypatch.setattr(link, "_FIRST_WAIT", 0.001)
    monkeypatch.setattr(bench.store, "start", away)
    with pytest.raises(StoreUnavailable, match="connection refused"):
        async with Client.from_store(bench.store, timeout=0.01) as client:
            await client.start("process")


async def test_errors_and_cancellation_leave_the_client_as_they_are(bench: Bench) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with Client.from_store(bench.store):
            raise KeyError("mine")
    with anyio.move_on_after(0.01) as scope:
        async with Client.from_store(bench.store) as client:
            handle = await client.start(process, Order(lines=[]))
            await handle.result()
    assert scope.cancelled_caught


async def test_a_client_opens_and_closes_its_own_store(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def open_hub(address: str, hub: str) -> MemoryStore:
        calls.append(f"{hub} at {address}")
        return bench.store

    async def opened(create: bool) -> bool:
        calls.append("create" if create else "open")
        return True

    async def closed() -> None:
        await anyio.lowlevel.checkpoint()
        calls.append("close")

    monkeypatch.setattr(bench.store, "open", opened)
    monkeypatch.setattr(bench.store, "close", closed)
    monkeypatch.setattr("redurable.client.client.open_hub", open_hub)
    async with Client("redis://x", hub="orders"):
        assert calls == ["orders at redis://x", "open"]
    with anyio.move_on_after(10) as scope:
        async with Client("redis://x", hub="orders"):
            scope.cancel()
            await anyio.sleep_forever()
    assert calls[2:] == ["close", "orders at redis://x", "open", "close"]
    async with Client.from_store(bench.store):
        pass
    assert len(calls) == 6
