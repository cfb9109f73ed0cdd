"""Lists, pages and counts of instances, and what deletes many, on the memory store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from redurable import BulkProgress, Client, InstanceNotFinished, InvalidFilter, InvalidToken, RuntimeStatus
from redurable.client.queries import query_of
from redurable.core.delivery import Outgoing
from redurable.core.messages import Rewind, StartExecution
from redurable.core.values import Parent
from redurable.store.memory import MemoryHub, MemoryStore
from redurable.store.port import StartRequest
from redurable.store.queries import LAST
from redurable.testing.conformance import scenes

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Tick:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


class Place:
    """A hub with a clock that goes on by a millisecond with every step, and a client of it."""

    def __init__(self, client: Client, store: MemoryStore, clock: Tick) -> None:
        self.client = client
        self.store = store
        self.clock = clock

    async def start(self, instance: str, name: str = "Demo", **fields: Any) -> None:
        message = StartExecution(name=name, execution=f"{instance}-x", call=scenes.message().call, **fields)
        await self.store.start(StartRequest(instance, message))
        self.clock.now += 1

    async def end(self, instance: str) -> None:
        entries = await scenes.receive(self.store)
        for entry in entries:
            delivery = await scenes.checkout(self.store, entry)
            status = RuntimeStatus.COMPLETED if entry.instance == instance else RuntimeStatus.RUNNING
            await scenes.accept(self.store, scenes.turn(delivery, f"h-{entry.instance}", status=status))

    async def ids(self, **filters: Any) -> list[str]:
        return [status.instance_id async for status in self.client.list_instances(page_size=2, **filters)]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    clock = Tick()
    store = MemoryStore(MemoryHub("lists", clock=clock), "w1")
    await store.open()
    async with Client.from_store(store) as client:
        yield Place(client, store, clock)


async def test_the_newest_come_first_and_filters_combine(place: Place) -> None:
    for n in range(5):
        await place.start(f"order-{n}", "Order" if n % 2 else "Trip", tags={"tenant": "acme" if n < 3 else "other"})
    assert await place.ids() == [f"order-{n}" for n in (4, 3, 2, 1, 0)]
    assert await place.ids(name="Order") == ["order-3", "order-1"]
    assert await place.ids(name=["Order", "Trip"], tags={"tenant": "acme"}) == ["order-2", "order-1", "order-0"]
    assert await place.ids(name="Order", tags={"tenant": "acme"}, status="Pending") == ["order-1"]
    assert await place.ids(status=["Running", "Failed"]) == []
    assert await place.ids(prefix="order-4") == ["order-4"]
    second = EPOCH + timedelta(milliseconds=1_700_000_000_001)
    assert await place.ids(created_from=second, created_to=second) == ["order-1"]


async def test_what_starts_ends_and_goes_meanwhile_does_not_disturb_a_walk(place: Place) -> None:
    for n in range(4):
        await place.start(f"i-{n}")
    first = await place.client.list_page(limit=2)
    assert [status.instance_id for status in first.instances] == ["i-3", "i-2"]
    await place.start("i-9")
    await place.end("i-2")
    await place.client.purge("i-2")
    second = await place.client.list_page(limit=2, continuation=first.continuation)
    assert ([status.instance_id for status in second.instances], second.continuation) == (["i-1", "i-0"], "")


async def test_counts(place: Place) -> None:
    assert await place.client.count_instances() == {}
    for n in range(3):
        await place.start(f"i-{n}", "Order" if n else "Trip")
    await place.end("i-0")
    assert await place.client.count_instances() == {("Order", "Running"): 2, ("Trip", "Completed"): 1}


async def test_a_continuation_belongs_to_its_filters_and_its_hub(place: Place) -> None:
    for n in range(4):
        await place.start(f"i-{n}")
    page = await place.client.list_page(limit=2, prefix="i")
    for broken in ("x", "rdq1.", "rdq1.e30", page.continuation[:-3], "rdq1." + "A" * 40):
        with pytest.raises(InvalidToken, match="no continuation"):
            await place.client.list_page(continuation=broken, prefix="i")
    with pytest.raises(ValueError, match="other filters"):
        await place.client.list_page(continuation=page.continuation)


async def test_purges_by_filter_with_all_children_that_have_finished(place: Place) -> None:
    await place.start("root")
    await place.end("root")
    child = StartExecution(name="Demo", execution="c", call=scenes.message().call, parent=Parent("root", "x", 1))
    await place.store.send([Outgoing("child", child), Outgoing("busy", child)])
    await place.end("child")
    assert await place.client.purge_instances(prefix="ro") == 2
    assert await place.ids() == ["busy"]
    assert await place.client.purge_instances() == 0
    with pytest.raises(InvalidFilter, match="only finished instances"):
        await place.client.purge_instances(status=["Running"])


async def test_what_a_rewound_parent_waits_for_is_not_purged(place: Place) -> None:
    await place.start("root")
    await place.end("root")
    parent = Parent("root", "root-x", 1)
    child = StartExecution(name="Demo", execution="c", call=scenes.message().call, parent=parent)
    await place.store.send([Outgoing("child", child)])
    await place.end("child")
    await place.store.send([Outgoing("child", Rewind(parent=parent, heir="y"))])
    with pytest.raises(InstanceNotFinished, match="instance 'child' stays: it is asked to go on"):
        await place.client.purge("child")
    with pytest.raises(InstanceNotFinished, match="'root' stays: its sub-orchestration 'child' is asked to go on"):
        await place.client.purge("root")
    with pytest.raises(InstanceNotFinished, match="has asked it to go on"):
        await place.client.restart("child")
    assert await place.client.purge_instances() == 0
    progress = [step async for step in place.client.bulk("purge")]
    assert progress[-1] == BulkProgress(2, 0, 0)
    assert "asked to go on" in progress[0].error
    await scenes.accept(place.store, scenes.turn(await scenes.take(place.store), "h", status=None))
    await place.client.purge("root")
    assert await place.ids() == []


async def test_what_goes_on_while_it_is_purged_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.start("one")
    await place.end("one")
    purge = place.store.purge

    async def replaced(instance: str, execution: str = "") -> Any:
        again = StartExecution(name="Demo", execution="again", call=scenes.message().call)
        await place.store.start(StartRequest("one", again, "replace-finished"))
        return await purge(instance, execution)

    monkeypatch.setattr(place.store, "purge", replaced)
    with pytest.raises(InstanceNotFinished, match="has not finished"):
        await place.client.purge("one")
    assert await place.ids() == ["one"]


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"status": "Done"}, "status is 'Done': there are Pending"),
        ({"status": "ContinuedAsNew"}, "status is 'ContinuedAsNew'"),
        ({"state": "Failed"}, "no such filter: state"),
        ({"created_from": datetime(2026, 1, 1)}, "with a time zone"),
        ({"created_from": EPOCH + timedelta(days=2), "created_to": EPOCH}, "exchange them"),
        ({"tags": {"a": 1}}, "keys and values are texts"),
        ({"tags": {"a": "\udcff"}}, "keys and values are texts"),
        ({"prefix": "\udcff"}, "give a text"),
        ({"name": [1]}, "give a text, or several"),
    ],
)
def test_filters_that_cannot_be_meant(filters: Any, says: str) -> None:
    with pytest.raises(InvalidFilter, match=says):
        query_of(filters)


def test_times_are_whole_milliseconds_inside_of_what_was_asked() -> None:
    moment = EPOCH + timedelta(microseconds=1_500)
    query = query_of({"created_from": moment, "updated_to": moment})
    assert (query.created_from, query.created_to, query.updated_from, query.updated_to) == (2, LAST, 0, 1)


async def test_a_page_has_bounds(place: Place) -> None:
    with pytest.raises(InvalidFilter, match="limit is 0"):
        await place.client.list_page(limit=0)
