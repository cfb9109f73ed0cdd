"""Questions about many instances."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from redurable.core.delivery import Outgoing, Park, TurnCommit
from redurable.core.events import ExecutionCompleted, ExecutionFailed
from redurable.core.messages import StartExecution, Suspend
from redurable.core.values import Arguments, Failure, Parent, RuntimeStatus
from redurable.store.port import Hub, StartRequest
from redurable.store.queries import Counts, Place, Query
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory

MOST_PAGES = 1_000


def started(execution: str = "x1", name: str = "Demo", **fields: Any) -> StartExecution:
    """A start message with tags or a parent."""
    return StartExecution(name=name, execution=execution, call=Arguments(input=Raw(b"1")), **fields)


async def begin(factory: StoreFactory, store: Hub, instance: str, name: str = "Demo", **fields: Any) -> None:
    """Start an instance, in a millisecond of its own."""
    await store.start(StartRequest(instance, started(f"x-{instance}", name, **fields)))
    await factory.advance(2)


async def walk(store: Hub, limit: int = 2, **asked: Any) -> list[str]:
    """The ids of all instances that are asked for, in the order in which they come."""
    ids: list[str] = []
    place: Place | None = None
    for _ in range(MOST_PAGES):
        found = await store.query(Query(**asked), limit, place)
        assert len(found.snapshots) <= limit
        ids += [snapshot.instance for snapshot in found.snapshots]
        if found.place is None:
            return ids
        assert place is None or found.place < place
        place = found.place
    raise AssertionError("the walk does not end")


async def work(store: Hub, **status: RuntimeStatus) -> None:
    """Take the turns of all that have mail; `status` says which one an instance gets."""
    for entry in await scenes.receive(store):
        delivery = await scenes.checkout(store, entry)
        become = status.get(entry.instance, RuntimeStatus.RUNNING)
        ends = {
            RuntimeStatus.COMPLETED: [ExecutionCompleted(at=2)],
            RuntimeStatus.FAILED: [ExecutionFailed(at=2, failure=Failure("Broken", "it broke"))],
        }
        await scenes.accept(store, scenes.turn(delivery, f"h-{delivery.head}", *ends.get(become, []), status=become))


class TestQuery:
    async def test_there_may_be_none(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        assert await walk(store) == []
        assert await walk(store, names=("Demo",), tags=(("a", "b"),), prefix="x", quarantined=True) == []

    async def test_the_newest_come_first_each_once(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        names = [f"i-{n:02}" for n in range(9)]
        for instance in names:
            await begin(store_factory, store, instance)
        for limit in (1, 2, 9, 100):
            assert await walk(store, limit) == names[::-1]

    async def test_what_was_created_at_once_comes_by_its_id(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        names = [f"i-{n:03}" for n in range(200)] + ["ü", "日本", "\U0001f680"]
        await store.send([Outgoing(instance, started()) for instance in names])
        assert sorted(await walk(store, 7)) == sorted(names)
        snapshots = (await store.query(Query(), 1000)).snapshots
        places = [Place(snapshot.created_at, snapshot.instance) for snapshot in snapshots]
        assert places == sorted(places, reverse=True)

    async def test_by_status_and_name(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        for n, name in enumerate(("Order", "Trip", "Order", "Trip")):
            await begin(store_factory, store, f"i{n}", name)
        await work(store, i0=RuntimeStatus.COMPLETED, i1=RuntimeStatus.FAILED, i2=RuntimeStatus.SUSPENDED)
        assert await walk(store, statuses=(RuntimeStatus.RUNNING,)) == ["i3"]
        assert await walk(store, statuses=(RuntimeStatus.COMPLETED, RuntimeStatus.FAILED)) == ["i1", "i0"]
        assert await walk(store, names=("Order",)) == ["i2", "i0"]
        assert await walk(store, names=("Order", "Trip")) == ["i3", "i2", "i1", "i0"]
        assert await walk(store, names=("Trip",), statuses=(RuntimeStatus.FAILED, RuntimeStatus.PENDING)) == ["i1"]
        assert await walk(store, names=("Nobody",)) == []

    async def test_by_tags_and_prefix(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await begin(store_factory, store, "a-1", tags={"tenant": "acme", "kind": "x:y"})
        await begin(store_factory, store, "a-2", "Trip", tags={"tenant": "acme"})
        await begin(store_factory, store, "b-1", tags={"tenant": "other", "kind": "x:y"})
        await begin(store_factory, store, "ü-1", tags={"tenant:kind": "x", "": ""})
        for _ in range(2):  # also when the tags do not stand in the start message any more
            assert await walk(store, tags=(("tenant", "acme"),)) == ["a-2", "a-1"]
            assert await walk(store, tags=(("kind", "x:y"), ("tenant", "acme"))) == ["a-1"]
            assert await walk(store, tags=(("tenant", "acme"),), names=("Trip",)) == ["a-2"]
            assert await walk(store, tags=(("tenant", "acme"),), prefix="a-1") == ["a-1"]
            assert await walk(store, tags=(("", ""),)) == ["ü-1"]
            assert await walk(store, tags=(("tenant", "kind:x"),)) == []
            await work(store)
        assert await walk(store, prefix="a-") == ["a-2", "a-1"]
        assert await walk(store, prefix="ü") == ["ü-1"]
        assert await walk(store, prefix="a-%") == []
        running = (RuntimeStatus.RUNNING,)
        assert await walk(store, tags=(("tenant", "acme"),), statuses=running) == ["a-2", "a-1"]
        assert await walk(store, tags=(("tenant", "acme"),), statuses=(RuntimeStatus.PENDING,)) == []

    async def test_by_times_with_both_ends(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        for n in range(4):
            await begin(store_factory, store, f"i{n}")
        made = {snapshot.instance: snapshot.created_at for snapshot in (await store.query(Query(), 10)).snapshots}
        assert await walk(store, created_from=made["i1"], created_to=made["i2"]) == ["i2", "i1"]
        assert await walk(store, created_to=made["i1"] - 1) == ["i0"]
        assert await walk(store, created_from=made["i3"] + 1) == []
        await work(store)
        changed = max(snapshot.updated_at for snapshot in (await store.query(Query(), 10)).snapshots)
        await store_factory.advance(2)
        await scenes.send(store, "i1", scenes.event())
        await work(store)
        assert await walk(store, updated_from=changed + 1) == ["i1"]
        assert await walk(store, updated_to=changed, statuses=(RuntimeStatus.RUNNING,)) == ["i3", "i2", "i0"]
        await scenes.send(store, "i3", scenes.event())
        await work(store, i3=RuntimeStatus.FAILED)
        later = {"updated_from": changed + 1}
        assert await walk(store, 1, **later) == ["i3", "i1"]
        assert await walk(store, **later, created_to=made["i1"]) == ["i1"]
        assert await walk(store, **later, prefix="i3") == await walk(store, **later, statuses=(RuntimeStatus.FAILED,))
        assert await walk(store, **later, names=("other",)) == await walk(store, **later, tags=(("a", "b"),)) == []

    async def test_a_walk_is_not_disturbed(self, store_factory: StoreFactory) -> None:
        """What exists, and fits, all the while comes exactly once."""
        store = await store_factory.store("w1")
        for n in range(8):
            await begin(store_factory, store, f"i{n}")
        first = await store.query(Query(), 3)
        assert [snapshot.instance for snapshot in first.snapshots] == ["i7", "i6", "i5"]
        await begin(store_factory, store, "new")
        await work(store, i7=RuntimeStatus.COMPLETED, i5=RuntimeStatus.COMPLETED, i2=RuntimeStatus.COMPLETED)
        assert await store.purge("i5") == "purged"  # the place itself is gone
        assert await store.purge("i2") == "purged"
        again = StartRequest("i7", started("x2"), "replace-finished")
        await store.start(again)
        rest, place = list[str](), first.place
        while place is not None:
            found = await store.query(Query(), 3, place)
            rest += [snapshot.instance for snapshot in found.snapshots]
            place = found.place
        assert rest == ["i4", "i3", "i1", "i0"]

    async def test_two_walk_at_the_same_time(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        names = [f"i-{n:02}" for n in range(20)]
        await one.send([Outgoing(instance, started()) for instance in names])
        found = await scenes.together(lambda: walk(one, 3), lambda: walk(two, 5))
        assert [sorted(ids) for ids in found] == [names, names]

    async def test_quarantined_ones(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await begin(store_factory, store, "fine")
        await scenes.receive(store)
        await begin(store_factory, store, "bad", tags={"a": "b"})
        delivery = await scenes.take(store)
        park = Park("unknown orchestrator", "start a worker", 0)
        await scenes.accept(store, TurnCommit(entry=delivery.entry, expected=delivery.head, head="p", park=park))
        pending: dict[str, Any] = {"statuses": (RuntimeStatus.PENDING,)}
        several: list[dict[str, Any]] = [{}, {"tags": (("a", "b"),)}, {"names": ("Demo",)}, pending]
        for fits in several:
            assert await walk(store, quarantined=True, **fits) == ["bad"]
        assert await walk(store, quarantined=True, statuses=(RuntimeStatus.RUNNING,)) == []
        assert (await store.counts()).quarantined == 1
        await scenes.fire(store)
        await work(store)
        assert await walk(store, quarantined=True) == []
        assert (await store.counts()).quarantined == 0

    async def test_an_instance_is_listed_under_its_name_of_now(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await begin(store_factory, store, "one", tags={"a": "b"})
        again = started("x2", "Other", tags={"a": "b"})
        await scenes.accept(store, scenes.turn(await scenes.take(store), "h1", next=again))
        assert await walk(store, names=("Demo",)) == []
        assert await walk(store, names=("Other",)) == ["one"]
        assert (await store.counts()).instances == {("Other", RuntimeStatus.RUNNING): 1}

    async def test_one_that_replaces_another_is_listed_as_what_it_is(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await begin(store_factory, store, "one", tags={"a": "b", "c": "d"})
        await work(store, one=RuntimeStatus.COMPLETED)
        message = started("x2", "Other", tags={"a": "b", "e": "f"})
        await store.start(StartRequest("one", message, "replace-finished"))
        assert await walk(store, tags=(("c", "d"),)) == []
        assert await walk(store, tags=(("a", "b"), ("e", "f"))) == ["one"]
        assert await walk(store, names=("Demo",)) == []
        assert (await store.counts()).instances == {("Other", RuntimeStatus.PENDING): 1}


class TestCounts:
    async def test_follow_every_change(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        assert await store.counts() == Counts({})
        for n in range(3):
            await begin(store_factory, store, f"i{n}", "Order" if n else "Trip")
        assert (await store.counts()).instances == {
            ("Order", RuntimeStatus.PENDING): 2, ("Trip", RuntimeStatus.PENDING): 1
        }  # fmt: skip
        await work(store, i0=RuntimeStatus.COMPLETED)
        await scenes.send(store, "i1", Suspend())
        await work(store, i1=RuntimeStatus.SUSPENDED)
        assert (await store.counts()).instances == {
            ("Order", RuntimeStatus.RUNNING): 1, ("Order", RuntimeStatus.SUSPENDED): 1,
            ("Trip", RuntimeStatus.COMPLETED): 1,
        }  # fmt: skip
        await store.purge("i0")
        assert ("Trip", RuntimeStatus.COMPLETED) not in (await store.counts()).instances

    async def test_every_way_to_start_counts_once(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store, "mother", "m1")
        child = started("c1", parent=Parent("mother", "m1", 1), tags={"a": "b"})
        twin = Outgoing("child", child, ("mother", scenes.refusal("m1")))
        await scenes.accept(store, scenes.turn(delivery, "h1", outbox=(twin, twin)))
        await scenes.drain(store)
        for _ in range(2):
            await store_factory.xadd_intake({b"instance": b"guest", b"start": b"Demo", b"id": b"g1"})
        await store.route(10, 0)
        assert sum((await store.counts()).instances.values()) == 3
        assert await walk(store, tags=(("a", "b"),)) == ["child"]
        assert await walk(store, prefix="guest") == ["guest"]
