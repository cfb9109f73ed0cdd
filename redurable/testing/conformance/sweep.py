"""The sweeper: mail that nobody was told of is announced."""

from __future__ import annotations

from redurable.core.messages import RaiseEvent
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import EVENT, StoreFactory


class TestSweep:
    async def test_announces_foreign_mail_once(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await scenes.running(store, "two")
        assert await scenes.sweep(store) == 0
        await store_factory.xadd_mailbox("one", EVENT)
        assert await scenes.receive(store) == []
        assert await scenes.sweep(store) == 1
        assert await scenes.sweep(store) == 0
        delivery = await scenes.take(store)
        assert scenes.said(delivery) == [RaiseEvent(name="Foreign")]
        assert delivery.announced == delivery.entry.id
        assert await scenes.sweep(store) == 0
        await scenes.accept(store, scenes.turn(delivery, "h2", scenes.raised()))
        assert await scenes.sweep(store) == 0

    async def test_leaves_a_bell_that_rings(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.start(scenes.request())
        assert await scenes.sweep(store) == 0
        delivery = await scenes.take(store)
        await scenes.send(store, "one", scenes.event())
        assert await scenes.sweep(store) == 0
        await scenes.accept(store, scenes.turn(delivery, "h1"))

    async def test_replaces_a_bell_that_was_lost(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        await store_factory.lose_ready(delivery.entry.partition, delivery.entry.id)
        assert await scenes.sweep(store) == 1
        again = await scenes.take(store)
        assert (again.start, again.announced) == (scenes.message(), again.entry.id)
        await scenes.accept(store, scenes.turn(again, "h1"))

    async def test_replaces_a_bell_that_was_lost_before_anybody_heard_it(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        await store.hand_back([delivery.entry], [])
        (again,) = await store.checkout([delivery.entry], [None])
        await store_factory.lose_ready(delivery.entry.partition, again.announced)
        assert await scenes.receive(store) == []
        assert await scenes.sweep(store) == 1
        assert (await scenes.take(store)).start == scenes.message()

    async def test_walks_all_instances_in_pieces(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        names = [f"i-{n}" for n in range(30)]
        for name in names:
            await scenes.running(store, name)
            await store_factory.xadd_mailbox(name, EVENT)
        assert await scenes.sweep(store, 3) == 30
        assert sorted(entry.instance for entry in await scenes.receive(store)) == sorted(names)

    async def test_finished_instances_are_left_alone(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        await store_factory.xadd_mailbox("one", EVENT)
        assert await scenes.sweep(store) == 0

    async def test_an_emptied_mailbox_holds_no_mail(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await store_factory.xadd_mailbox("one", EVENT)
        await store_factory.empty_mailbox("one")
        assert await scenes.sweep(store) == 0
