"""What ended long ago, and what goes with it."""

from __future__ import annotations

from redurable.core.delivery import Outgoing
from redurable.core.messages import Rewind
from redurable.core.values import Parent, RuntimeStatus
from redurable.store.families import purge_family
from redurable.store.port import Hub
from redurable.store.queries import Standing
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory
from redurable.testing.conformance.queries import begin, started, walk, work

COMPLETED, FAILED = RuntimeStatus.COMPLETED, RuntimeStatus.FAILED


async def expired(store: Hub, count: int = 100, **ages: int) -> list[str]:
    """The ids of what ended too long ago, of all partitions."""
    by_status = {RuntimeStatus(status): age for status, age in ages.items()}
    return [one.instance for n in scenes.everywhere(store) for one in await store.expired(n, by_status, count)]


async def child(store: Hub, instance: str, parent: str = "mother", execution: str = "c1") -> None:
    """A sub-orchestration."""
    await store.send([Outgoing(instance, started(execution, parent=Parent(parent, "m1", 1)))])


async def purge(store: Hub, instance: str) -> list[str]:
    """An instance and what goes with it."""
    snapshot = await store.get(instance)
    assert snapshot is not None
    gone = await purge_family(store, Standing(instance, snapshot.execution, snapshot.status))
    return [one.instance for one in gone.members]


class TestExpired:
    async def test_only_what_ended_so_long_ago(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        for name in ("done", "broken", "busy"):
            await begin(store_factory, store, name)
        await work(store, done=COMPLETED, broken=FAILED)
        await store_factory.advance(20)
        assert await expired(store, Completed=10) == ["done"]
        assert sorted(await expired(store, Completed=10, Failed=10)) == ["broken", "done"]
        assert await expired(store, Completed=3_600_000, Failed=3_600_000) == []
        assert await expired(store) == []
        await store.purge("done")
        assert await expired(store, Completed=10) == []

    async def test_of_a_status_the_oldest_come_first(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        here = scenes.partition(store, "i-0")
        names = [n for n in (f"i-{k}" for k in range(200)) if scenes.partition(store, n) == here][:4]
        for name in names:
            await begin(store_factory, store, name)
            await work(store, **{name: COMPLETED})
            await store_factory.advance(2)
        assert await expired(store, 2, Completed=0) == names[:2]
        (oldest, *_) = await store.expired(here, {COMPLETED: 0}, 1)
        assert oldest == Standing(names[0], f"x-{names[0]}", COMPLETED)

    async def test_the_first_ones_can_be_passed_over(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        here = scenes.partition(store, "i-0")
        names = [n for n in (f"i-{k}" for k in range(200)) if scenes.partition(store, n) == here][:5]
        for at, name in enumerate(names):
            await begin(store_factory, store, name)
            await work(store, **{name: COMPLETED if at < 3 else FAILED})
            await store_factory.advance(2)
        ages = {COMPLETED: 0, FAILED: 0}
        for skip in range(6):
            found = await store.expired(here, ages, 2, skip)
            assert [one.instance for one in found] == names[skip : skip + 2]

    async def test_one_that_began_anew_has_not_ended(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        await store.start(scenes.request(execution="x2", on_conflict="replace-finished"))
        assert await expired(store, Completed=0) == []
        assert await store.purge("one", "x1") == "missing"

    async def test_only_the_execution_that_was_meant_is_purged(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        assert await store.purge("one", "other") == "missing"
        assert await store.purge("one", "x1") == "purged"


class TestFamilies:
    async def test_children_are_known_and_go_with_their_parents(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await begin(store_factory, store, "mother")
        for name in ("c1", "c2", "c3"):
            await child(store, name)
        await child(store, "grandchild", "c1")
        assert [one.instance for one in await store.children("mother")] == ["c1", "c2", "c3"]
        await work(store, mother=COMPLETED, c1=COMPLETED, c2=FAILED, grandchild=COMPLETED)
        assert {one.instance: one.status for one in await store.children("mother")} == {
            "c1": COMPLETED, "c2": FAILED, "c3": RuntimeStatus.RUNNING
        }  # fmt: skip
        assert await expired(store, Completed=0, Failed=0) == ["mother"]
        gone = await purge(store, "mother")
        assert sorted(gone) == ["c1", "c2", "grandchild", "mother"]
        assert gone[-1] == "mother"
        assert gone.index("grandchild") < gone.index("c1")
        assert await walk(store) == ["c3"]
        await scenes.send(store, "c3", scenes.event())
        await work(store, c3=COMPLETED)
        assert await expired(store, Completed=0) == ["c3"]

    async def test_one_that_is_disowned_is_on_its_own(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await begin(store_factory, store, "mother")
        await child(store, "c1")
        await work(store, c1=COMPLETED)
        assert await expired(store, Completed=0) == []
        await store.disown("c1", "somebody else")
        assert await expired(store, Completed=0) == []
        for _ in range(2):
            await store.disown("c1", "mother")
        assert await expired(store, Completed=0) == ["c1"]
        assert await store.children("mother") == []

    async def test_one_that_replaces_a_child_is_none(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await begin(store_factory, store, "mother")
        await child(store, "c1")
        await work(store, c1=COMPLETED)
        await store.start(scenes.request("c1", "x2", on_conflict="replace-finished"))
        assert await store.children("mother") == []

    async def test_whose_parent_is_gone_is_found(self, store_factory: StoreFactory) -> None:
        """Its start was under way when its parent was purged."""
        store = await store_factory.store("w1")
        await child(store, "late")
        await work(store, late=COMPLETED)
        assert await expired(store, Completed=0) == []
        assert await scenes.mend(store) == 1
        assert await expired(store, Completed=0) == ["late"]

    async def test_none_goes_while_a_parent_waits_for_one_of_them(self, store_factory: StoreFactory) -> None:
        """It was rewound, and has ended again; what goes with it is what it was before."""
        store = await store_factory.store("w1")
        await begin(store_factory, store, "mother")
        for name in ("c1", "c2", "busy"):
            await child(store, name)
        await child(store, "grandchild", "c2")
        done = dict.fromkeys(("mother", "c1", "c2", "grandchild"), COMPLETED)
        await work(store, **done)
        await scenes.send(store, "grandchild", Rewind(parent=Parent("c2", "c1", 1), heir="c3"))
        snapshot = await store.get("mother")
        assert snapshot is not None
        gone = await purge_family(store, Standing("mother", snapshot.execution, COMPLETED))
        assert (gone.members, gone.eldest, gone.awaited) == ((), "awaited", "grandchild")
        assert sorted(await walk(store)) == ["busy", "c1", "c2", "grandchild", "mother"]
        assert [one.instance for one in await store.children("mother")] == ["busy", "c1", "c2"]
        await scenes.accept(store, scenes.turn(await scenes.take(store), "h9", status=None))
        assert sorted(await purge(store, "mother")) == ["c1", "c2", "grandchild", "mother"]
        assert await walk(store) == ["busy"]
