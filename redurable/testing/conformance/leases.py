"""Peek-locks: keeping them, losing them, taking them over."""

from __future__ import annotations

from msgspec.structs import replace

from redurable.core.delivery import Outgoing, Park
from redurable.core.messages import Terminate
from redurable.store.port import Lost, Reclaimed
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory

HOUR_MS = 3_600_000


class TestReclaim:
    async def test_takes_over_what_ran_out(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        await scenes.send(one, "one", scenes.event())
        (entry,) = await scenes.receive(one)
        taken = await scenes.take_over(store_factory, two)
        assert [(e.id, e.instance, e.again) for e in taken.entries] == [(entry.id, "one", True)]
        assert [(t.id, t.task, t.again) for t in taken.tasks] == [(lease.id, lease.task, True)]
        assert await one.renew([entry], [lease]) == Lost((entry,), (lease,))
        assert await two.renew(taken.entries, taken.tasks) == Lost()
        assert await one.recover() == Reclaimed()

    async def test_leaves_what_is_held(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        await scenes.send(one, "one", scenes.event())
        (entry,) = await scenes.receive(one)
        assert await scenes.reclaim(two, HOUR_MS) == Reclaimed()
        assert await one.renew([entry], [lease]) == Lost()

    async def test_takes_over_the_own_entries_too(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.start(scenes.request())
        (entry,) = await scenes.receive(store)
        (again,) = (await scenes.take_over(store_factory, store)).entries
        assert (again.id, again.again) == (entry.id, True)

    async def test_takes_no_more_than_asked_for(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        names = [f"i-{n}" for n in range(6)]
        for name in names:
            await scenes.running(one, name, tasks=(scenes.task(name),))
        await one.send([Outgoing(name, scenes.event()) for name in names])
        assert len(await scenes.receive(one)) == 6
        assert len(await one.receive_tasks(scenes.demand(), 0)) == 6
        taken = await scenes.take_over(store_factory, two, 4, 2)
        assert (len(taken.entries), len(taken.tasks)) == (4, 2)
        assert await two.renew(taken.entries, taken.tasks) == Lost()

    async def test_ended_work_is_not_taken_over(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await scenes.running(one)
        assert await scenes.take_over(store_factory, two) == Reclaimed()

    async def test_a_renewed_lease_starts_anew(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.start(scenes.request())
        (entry,) = await scenes.receive(one)
        await store_factory.advance(200)
        before = await scenes.now(two)
        assert await one.renew([entry], []) == Lost()
        # Between two lines a busy machine may let so much time pass that it has run out again.
        assert await scenes.reclaim(two, 200) == Reclaimed() or await scenes.now(two) - before >= 200


class TestRecover:
    async def test_finds_what_a_lost_reply_held(self, store_factory: StoreFactory) -> None:
        before = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(before, scenes.task())
        await scenes.send(before, "one", scenes.event())
        (entry,) = await scenes.receive(before)
        other = await store_factory.store("w2")
        assert (await other.recover()).entries == ()
        await before.receive_tasks(scenes.demand(), 0)
        held = await before.recover()
        assert [(e.id, e.partition, e.instance, e.again) for e in held.entries] == [
            (entry.id, entry.partition, "one", False)
        ]
        assert [(t.id, t.queue, t.task, t.again) for t in held.tasks] == [(lease.id, "default", lease.task, True)]


class TestHandBack:
    async def test_an_entry_rings_for_the_next_receiver(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.start(scenes.request())
        held = await scenes.receive(one)
        await one.hand_back(held, [])
        assert (await one.recover()).entries == ()
        delivery = await scenes.take(two)
        assert (delivery.entry.instance, delivery.announced) == ("one", delivery.entry.id)
        await scenes.accept(two, scenes.turn(delivery, "h1"))
        assert await scenes.receive(one) == []

    async def test_what_a_parked_instance_must_hear_rings_again(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        delivery = await scenes.begin(one)
        park = Park("unknown orchestrator", "no worker knows Demo", HOUR_MS)
        await scenes.accept(one, replace(scenes.release(delivery, "h1"), park=park))
        await scenes.send(one, "one", Terminate())
        await one.hand_back(await scenes.receive(one), [])
        assert scenes.said(await scenes.take(two)) == [Terminate()]

    async def test_a_task_is_back_in_its_queue(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        leases = await scenes.with_tasks(one, scenes.task(queue="vip"))
        await one.hand_back([], leases)
        (again,) = await two.receive_tasks(scenes.demand(10, "vip"), 0)
        assert again.task == leases[0].task
        assert await one.renew([], leases) == Lost((), tuple(leases))

    async def test_what_was_ended_is_not_given_back(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        leases = await scenes.with_tasks(store, scenes.task())
        delivery = await scenes.begin(store, "two")
        await scenes.accept(store, scenes.turn(delivery, "h1"))
        await store.complete([scenes.ended(leases[0])], [None])
        await scenes.accept(store, scenes.turn(await scenes.take(store), "h2", scenes.raised()))
        await store.hand_back([delivery.entry], leases)
        assert await scenes.receive(store) == []
        assert await store.receive_tasks(scenes.demand(), 0) == []

    async def test_what_another_took_over_is_not_given_back(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        leases = await scenes.with_tasks(one, scenes.task())
        await scenes.send(one, "one", scenes.event())
        entries = await scenes.receive(one)
        taken = await scenes.take_over(store_factory, two)
        await one.hand_back(entries, leases)
        assert await two.renew(taken.entries, taken.tasks) == Lost()
        assert await scenes.receive(one) == []
        assert await one.receive_tasks(scenes.demand(), 0) == []

    async def test_a_false_ring_is_dropped(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.start(scenes.request())
        await store_factory.xadd_ready(scenes.partition(store, "one"), {b"i": b"one"})
        bell, false = await scenes.receive(store)
        await store.hand_back([false], [])
        assert await scenes.receive(store) == []
        assert [held.id for held in (await store.recover()).entries] == [bell.id]


class TestSteal:
    async def test_takes_what_has_waited(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.start(scenes.request())
        await store_factory.advance(2)
        assert await two.steal(scenes.everywhere(two), 10, HOUR_MS) == []
        (entry,) = await two.steal(scenes.everywhere(two), 10, 1)
        assert (entry.instance, entry.again) == ("one", False)
        assert await scenes.receive(one) == []

    async def test_leaves_what_is_held(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.start(scenes.request())
        assert len(await scenes.receive(one)) == 1
        assert await two.steal(scenes.everywhere(two), 10, 0) == []
