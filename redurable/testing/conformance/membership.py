"""Who works for a hub."""

from __future__ import annotations

from redurable.store.membership import Skills
from redurable.store.port import Hub, Lost
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory

HOUR_MS = 3_600_000
SKILLS = Skills(("orchestrations",), ("Demo",))


class TestMembership:
    async def test_those_who_beat_are_members(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        assert await _seen_by(one, HOUR_MS) == ("w1",)
        assert await _seen_by(two, HOUR_MS) == ("w1", "w2")
        first = (await one.heartbeat(HOUR_MS, SKILLS)).now
        await store_factory.advance(2)
        assert (await one.heartbeat(HOUR_MS, SKILLS)).now > first

    async def test_they_say_what_they_can_do(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        other = Skills(("activities",), (), ("Work", "Rest"), ("default", "vip"))
        await one.heartbeat(HOUR_MS, SKILLS)
        assert (await two.heartbeat(HOUR_MS, other)).workers == {"w1": SKILLS, "w2": other}
        assert (await one.heartbeat(HOUR_MS, SKILLS)).workers == {"w1": SKILLS, "w2": other}
        await one.leave()
        assert (await two.heartbeat(HOUR_MS, other)).workers == {"w2": other}
        again = Skills(("orchestrations",), ("Demo", "New"))
        await one.heartbeat(HOUR_MS, again)
        assert (await two.heartbeat(HOUR_MS, other)).workers == {"w1": again, "w2": other}

    async def test_the_silent_are_no_members(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.heartbeat(HOUR_MS, SKILLS)
        await store_factory.advance(20)
        assert await _seen_by(two, 10) == ("w2",)

    async def test_whoever_leaves_is_no_member(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.heartbeat(HOUR_MS, SKILLS)
        await one.leave()
        assert await _seen_by(two, HOUR_MS) == ("w2",)

    async def test_who_only_looks_is_no_member(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        assert (await two.members(HOUR_MS)).workers == {}
        first = (await one.heartbeat(HOUR_MS, SKILLS)).now
        seen = await two.members(HOUR_MS)
        assert (seen.workers, seen.now >= first) == ({"w1": SKILLS}, True)
        await store_factory.advance(20)
        assert (await two.members(10)).workers == {}
        assert await _seen_by(one, HOUR_MS) == ("w1",)

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
        await one.heartbeat(HOUR_MS, SKILLS)
        await scenes.running(one)
        await store_factory.advance(20)
        await two.heartbeat(HOUR_MS, SKILLS)
        await scenes.receive(two)
        assert await two.reap(HOUR_MS) == 0
        assert await two.reap(15) == 1
        assert await two.reap(15) == 0
        assert await _seen_by(two, HOUR_MS) == ("w2",)

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


async def _seen_by(store: Hub, ttl_ms: int) -> tuple[str, ...]:
    return tuple(sorted((await store.heartbeat(ttl_ms, SKILLS)).workers))
