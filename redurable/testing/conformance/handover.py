"""Ready entries that one consumer hands over to another."""

from __future__ import annotations

from redurable.store.port import Lost
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory

HOUR_MS = 3_600_000


class TestHandOver:
    async def test_it_changes_hands_and_its_receiver_finds_it_once(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        names = ("one", scenes.elsewhere(one, "one"))
        for name in names:
            await one.start(scenes.request(name))
        entries = await scenes.receive(one)
        await one.hand_over(entries, "w2")
        assert await one.renew(entries, []) == Lost(tuple(entries))
        handed = await two.receive_handed(0)
        assert sorted((entry.id, entry.instance) for entry in handed) == sorted((e.id, e.instance) for e in entries)
        assert {(entry.handed, entry.deliveries) for entry in handed} == {(True, 1)}
        assert await two.receive_handed(0) == []
        assert await one.receive_handed(0) == []
        assert await two.renew(handed, []) == Lost()
        for entry in handed:
            await scenes.accept(two, scenes.turn(await scenes.checkout(two, entry), f"h-{entry.instance}"))
        assert await scenes.receive(one) == []

    async def test_who_waits_is_woken(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.start(scenes.request())
        entries = await scenes.receive(one)
        handed, _ = await scenes.together(
            lambda: two.receive_handed(scenes.PATIENCE_S * 1000), lambda: one.hand_over(entries, "w2")
        )
        assert [entry.instance for entry in handed] == ["one"]

    async def test_only_what_is_held_is_handed_over(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.start(scenes.request())
        entries = await scenes.receive(one)
        (taken,) = (await scenes.take_over(store_factory, two)).entries
        await one.hand_over(entries, "w3")
        assert await (await store_factory.store("w3")).receive_handed(0) == []
        assert await two.renew([taken], []) == Lost()

    async def test_what_nobody_comes_for_is_taken_over(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.start(scenes.request())
        await scenes.receive(one)
        (entry,) = (await scenes.take_over(store_factory, two)).entries
        await two.hand_over([entry], "gone")
        assert (await scenes.reclaim(one, HOUR_MS)).entries == ()
        (taken,) = (await scenes.take_over(store_factory, one)).entries
        assert (taken.id, taken.deliveries, taken.handed) == (entry.id, 3, False)

    async def test_the_count_goes_with_it(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.start(scenes.request())
        await scenes.receive(one)
        taken = await scenes.take_over(store_factory, two)
        await two.hand_over(taken.entries, "w1")
        assert [entry.deliveries for entry in await one.receive_handed(0)] == [2]
