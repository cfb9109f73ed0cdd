"""What only the memory store promises: hubs shared by name within a process, and a clock that tests can move."""

from __future__ import annotations

import anyio
import pytest
from msgspec.structs import replace

from redurable.core.limits import NO_START
from redurable.core.messages import ActivityFailure
from redurable.core.values import ActivityOptions, Timeouts
from redurable.errors import InvalidName, StoreRefused
from redurable.store.memory import MemoryHub, MemoryStore, memory_hub
from redurable.store.port import SendOutcome
from redurable.testing.conformance import scenes
from tests.conformance.test_memory import MemoryFactory

WEEK_MS = 7 * 24 * 3600 * 1000


async def test_stores_of_one_name_share_a_hub() -> None:
    first, second = memory_hub("shared", partitions=2), memory_hub("shared", partitions=8)
    one, two = MemoryStore(first, "w1"), MemoryStore(second, "w2")
    await one.start(scenes.request())
    assert (await scenes.take(two)).entry.instance == "one"
    assert (one.partitions, two.partitions) == (2, 2)
    assert await MemoryStore(memory_hub("another"), "w1").get("one") is None


def test_hub_names_are_checked() -> None:
    with pytest.raises(InvalidName, match="Orders"):
        MemoryHub("Orders")


async def test_kept_events_go_after_a_week() -> None:
    factory = MemoryFactory()
    store = await factory.store("w1")
    await scenes.send(store, "one", scenes.event("A"))
    await factory.advance(WEEK_MS - 1)
    await scenes.send(store, "two", scenes.event("B"))
    await factory.advance(1)
    assert scenes.said(await scenes.begin(store, "one")) == []
    assert scenes.said(await scenes.begin(store, "two")) == [scenes.event("B")]


async def test_an_append_wakes_every_blocked_reader_at_once() -> None:
    hub = MemoryHub("orders", partitions=2)
    workers = [MemoryStore(hub, f"w{n}") for n in range(5)]
    received: list[str] = []

    async def wait(worker: MemoryStore) -> None:
        received.extend(entry.instance for entry in await worker.receive(range(2), 1, 60_000))

    with anyio.fail_after(scenes.PATIENCE_S):
        async with anyio.create_task_group() as group:
            for worker in workers:
                group.start_soon(wait, worker)
            await anyio.wait_all_tasks_blocked()
            for n in range(5):
                await workers[0].start(scenes.request(f"i-{n}"))
    assert sorted(received) == [f"i-{n}" for n in range(5)]


async def test_a_cancelled_reader_takes_nothing() -> None:
    hub = MemoryHub("orders", partitions=2)
    store = MemoryStore(hub, "w1")
    async with anyio.create_task_group() as group:
        group.start_soon(store.receive, range(2), 10, 60_000)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    await store.start(scenes.request())
    assert (await store.recover()).entries == ()
    assert len(await scenes.receive(store)) == 1


async def test_what_cannot_be_read_back_is_refused() -> None:
    factory = MemoryFactory()
    store = await factory.store("w1")
    await scenes.running(store)
    await factory.break_history("one")
    with pytest.raises(StoreRefused, match="'one'"):
        await store.history("one")


async def test_ids_compare_as_numbers() -> None:
    factory = MemoryFactory()
    store = await factory.store("w1")
    await scenes.running(store)
    for entry_id in ("9-5", "9-10", "10-0", "1800000000000-0"):
        await factory.xadd_mailbox("one", {b"event": entry_id.encode()}, entry_id)
    with pytest.raises(ValueError, match="not greater"):
        await factory.xadd_mailbox("one", {b"event": b"late"}, "11-0")
    assert await scenes.send(store, "one", scenes.event("last")) == [SendOutcome.SENT]
    delivery = await scenes.take(store)
    assert [message.name for message in scenes.events(delivery)] == ["9-5", "9-10", "10-0", "1800000000000-0", "last"]
    commit = scenes.turn(delivery, "h2", scenes.raised(), consumed="9-10")
    await scenes.accept(store, commit)
    left = await scenes.take(store)
    assert [message.name for message in scenes.events(left)] == ["10-0", "1800000000000-0", "last"]


async def test_a_task_that_a_foreign_client_deleted_was_not_begun_in_time() -> None:
    hub = MemoryHub("orders", partitions=1)
    store = MemoryStore(hub, "w1")
    options = ActivityOptions(timeouts=Timeouts(schedule_to_start=1))
    task = replace(scenes.task(), options=options, waiting_since=1)
    await scenes.running(store, tasks=(task,))
    hub.partitions[0].queue("default").entries.clear()
    assert await scenes.fire(store) == 1
    failure = ActivityFailure(execution="x1", seq=1, failure=NO_START)
    assert scenes.said(await scenes.take(store)) == [failure]
