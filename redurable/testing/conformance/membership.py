"""Who works for a hub."""

from __future__ import annotations

from redurable.store.port import Lost
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory

HOUR_MS = 3_600_000


class TestMembership:
    async def test_those_who_beat_are_members(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        assert (await one.heartbeat(HOUR_MS)).workers == ("w1",)
        assert sorted((await two.heartbeat(HOUR_MS)).workers) == ["w1", "w2"]
        first = (await one.heartbeat(HOUR_MS)).now
        await store_factory.advance(2)
        assert (await one.heartbeat(HOUR_MS)).now > first

    async def test_the_silent_are_no_members(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.heartbeat(HOUR_MS)
        await store_factory.advance(20)
        assert (await two.heartbeat(10)).workers == ("w2",)

    async def test_whoever_leaves_is_no_member(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.heartbeat(HOUR_MS)
        await one.leave()
        assert (await two.heartbeat(HOUR_MS)).workers == ("w2",)

    async def test_leaving_does_not_lose_what_is_held(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        await scenes.send(one, "one", scenes.event())
        assert len(await scenes.receive(one)) == 1
        await one.leave()
        taken = await scenes.take_over(store_factory, two)
        assert [entry.instance for entry in taken.entries] == ["one"]
        assert [again.task for again in taken.tasks] == [lease.task]


class TestReap:
    async def test_removes_those_who_hold_nothing_and_are_silent(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.heartbeat(HOUR_MS)
        await scenes.running(one)
        await store_factory.advance(20)
        await two.heartbeat(HOUR_MS)
        await scenes.receive(two)
        assert await two.reap(HOUR_MS) == 0
        assert await two.reap(15) == 1
        assert await two.reap(15) == 0
        assert (await two.heartbeat(HOUR_MS)).workers == ("w2",)

    async def test_leaves_those_who_hold_something(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        await scenes.send(one, "one", scenes.event())
        (entry,) = await scenes.receive(one)
        await store_factory.advance(20)
        await two.reap(10)
        assert await one.renew([entry], [lease]) == Lost()
        taken = await scenes.take_over(store_factory, two)
        assert (len(taken.entries), len(taken.tasks)) == (1, 1)
