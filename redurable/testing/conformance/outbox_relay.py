"""Messages from one partition to another, after the commit."""

from __future__ import annotations

from redurable.core.delivery import DeadLetter, Outgoing
from redurable.core.messages import SubOrchestrationResult, Terminate
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory


class TestRelay:
    async def test_delivers_in_order_once(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        other = scenes.elsewhere(store, "one")
        await scenes.running(store, other)
        sent = [scenes.event(f"E{n}") for n in range(5)]
        await scenes.running(store, outbox=tuple(Outgoing(other, message) for message in sent))
        here = scenes.partition(store, "one")
        assert await scenes.receive(store) == []
        assert (await store.relay(here, 3)).count == 3
        assert (await store.relay(here, 100)).count == 2
        assert (await store.relay(here, 100)).count == 0
        delivery = await scenes.take(store)
        assert (delivery.entry.instance, scenes.said(delivery)) == (other, sent)

    async def test_any_number_may_relay(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        names = [f"i-{n}" for n in range(6)]
        for name in names:
            await scenes.running(one, name)
        sent = {name: [scenes.event(f"{name}:{n}") for n in range(4)] for name in names}
        outbox = tuple(Outgoing(name, sent[name][n]) for n in range(4) for name in names)
        await scenes.running(one, outbox=outbox)
        here = scenes.partition(one, "one")
        await scenes.together(*[lambda store=store: store.relay(here, 10) for store in (one, two) * 3])
        await scenes.drain(one)
        deliveries = await one.checkout(await scenes.receive(one), [None] * 6)
        assert {delivery.entry.instance: scenes.said(delivery) for delivery in deliveries} == sent

    async def test_a_child_starts_before_it_hears(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        child = scenes.elsewhere(store, "one")
        outbox = (Outgoing(child, scenes.message("c1")), Outgoing(child, Terminate(reason="changed my mind")))
        await scenes.running(store, outbox=outbox)
        await scenes.drain(store)
        delivery = await scenes.take(store)
        assert (delivery.start, scenes.said(delivery)) == (
            scenes.message("c1"),
            [Terminate(reason="changed my mind")],
        )

    async def test_a_message_may_stay_in_its_partition(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store, outbox=(Outgoing("one", scenes.event()),))
        await scenes.drain(store)
        assert scenes.said(await scenes.take(store)) == [scenes.event()]

    async def test_a_refused_start_is_told_to_the_parent(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        child = scenes.elsewhere(store, "one")
        await scenes.running(store, child, "taken")
        refusal = scenes.refusal("x1", 3)
        await scenes.running(store, outbox=(Outgoing(child, scenes.message("c1"), ("one", refusal)),))
        await scenes.drain(store)
        delivery = await scenes.take(store)
        assert (delivery.entry.instance, scenes.said(delivery)) == ("one", [refusal])
        assert await store_factory.dead_letters() == []

    async def test_what_comes_too_late_is_dropped(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store, "over")
        await scenes.running(store, "next", "x2")
        result = SubOrchestrationResult(execution="x1", seq=1)
        outbox = (
            Outgoing("over", result),
            Outgoing("next", result),
            Outgoing("nobody", result),
            Outgoing("nobody", Terminate()),
        )
        await scenes.running(store, outbox=outbox)
        assert (await store.relay(scenes.partition(store, "one"), 10)).count == 4
        await scenes.drain(store)
        assert await scenes.receive(store) == []
        assert await store_factory.dead_letters() == []

    async def test_an_event_waits_for_its_instance(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store, outbox=(Outgoing("later", scenes.event()),))
        await scenes.drain(store)
        assert scenes.said(await scenes.begin(store, "later")) == [scenes.event()]

    async def test_an_event_or_start_that_nobody_takes_is_a_dead_letter(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store, "over")
        outbox = (Outgoing("over", scenes.event()), Outgoing("over", scenes.message("x9")))
        await scenes.running(store, outbox=outbox)
        await scenes.drain(store)
        letters = await store_factory.dead_letters()
        assert [letter[b"instance"] for letter in letters] == [b"over", b"over"]
        assert b"finished" in letters[0][b"reason"]
        assert b"exists" in letters[1][b"reason"]
        assert await scenes.receive(store) == []


class TestDeadLetters:
    async def test_leave_with_the_commit_and_arrive_once(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        original = ((b"what", b"ever"), (b"binary", b"\xff\x00"))
        await scenes.running(one, dead=(DeadLetter("not readable", "one", original),))
        assert await store_factory.dead_letters() == []
        here = scenes.partition(one, "one")
        await scenes.together(lambda: one.relay(here, 10), lambda: two.relay(here, 10))
        await scenes.drain(one)
        (letter,) = await store_factory.dead_letters()
        assert (letter[b"reason"], letter[b"instance"]) == (b"not readable", b"one")
        assert (letter[b"what"], letter[b"binary"]) == (b"ever", b"\xff\x00")
        assert abs(int(letter[b"at"]) - (await one.upcoming([0], 0, 1)).now) < 60_000
