"""Receiving ready entries, and reading what a turn needs."""

from __future__ import annotations

import pytest

from redurable.core.delivery import Position
from redurable.store.port import Hub
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory


class TestReceive:
    async def test_an_entry_goes_to_one_consumer(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        names = [f"i-{n}" for n in range(20)]
        for name in names:
            await one.start(scenes.request(name))
        halves = await scenes.together(lambda: scenes.receive(one, 10), lambda: scenes.receive(two, 10))
        rest = await scenes.receive(one)
        received = [entry.instance for entry in [*halves[0], *halves[1], *rest]]
        assert sorted(received) == sorted(names)
        assert await scenes.receive(two) == []

    async def test_entries_of_a_partition_come_in_order(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        number = scenes.partition(store, "i-0")
        names = [name for name in (f"i-{n}" for n in range(40)) if scenes.partition(store, name) == number][:4]
        for name in names:
            await store.start(scenes.request(name))
        first = await store.receive([number], 3, 0)
        rest = await store.receive([number], 3, 0)
        assert [entry.instance for entry in first] == names[:3]
        assert [entry.instance for entry in rest] == names[3:]
        assert {entry.partition for entry in first} == {number}

    async def test_other_partitions_are_left_alone(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.start(scenes.request("one"))
        others = [number for number in scenes.everywhere(store) if number != scenes.partition(store, "one")]
        assert await store.receive(others, 10, 0) == []
        assert len(await scenes.receive(store)) == 1

    async def test_waits_for_the_first_entry(self, store_factory: StoreFactory) -> None:
        store, client = await store_factory.store("w1"), await store_factory.store("c1")
        received, started = await scenes.together(
            lambda: store.receive(scenes.everywhere(store), 10, 5_000), lambda: client.start(scenes.request())
        )
        assert [entry.instance for entry in received] == ["one"]
        assert started == "started"

    async def test_does_not_wait_for_ever(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (received,) = await scenes.together(lambda: store.receive(scenes.everywhere(store), 10, 20))
        assert received == []


class TestCheckout:
    async def test_a_cold_checkout_has_the_whole_history(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await scenes.send(store, "one", scenes.event("A"))
        delivery = await scenes.take(store)
        assert (delivery.base, delivery.head, delivery.start) == (0, "h1", None)
        assert [event.commit for event in delivery.events] == ["h1"]
        assert abs(delivery.now - (await store.upcoming([0], 0, 1)).now) < 60_000

    async def test_a_cached_position_gets_what_follows(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await _after_two_turns(store)
        entry = delivery.entry
        same, delta = await store.checkout([entry, entry], [Position("x1", 3, "h2"), Position("x1", 1, "h1")])
        assert (same.base, same.events) == (3, ())
        assert (delta.base, delta.events) == (1, delivery.events[1:])
        assert [event.commit for event in delta.events] == ["", "h2"]

    @pytest.mark.parametrize(
        "position",
        [
            Position("x0", 1, "h1"),
            Position("x1", 1, "another"),
            Position("x1", 2, "h1"),
            Position("x1", 3, "h1"),
            Position("x1", 4, "h2"),
            Position("x1", 0, ""),
        ],
        ids=["execution", "commit", "not-a-commit", "older-commit", "too-long", "nothing"],
    )
    async def test_a_position_that_is_not_true_gets_everything(
        self, store_factory: StoreFactory, position: Position
    ) -> None:
        store = await store_factory.store("w1")
        cold = await _after_two_turns(store)
        (delivery,) = await store.checkout([cold.entry], [position])
        assert (delivery.base, delivery.events) == (0, cold.events)

    async def test_changes_nothing(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        first = await scenes.begin(one)
        second = await scenes.checkout(two, first.entry)
        assert (first.head, first.start, first.announced) == (second.head, second.start, second.announced)
        await scenes.accept(one, scenes.turn(first, "h1"))

    async def test_answers_in_the_order_of_the_entries(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        for n in range(8):
            await store.start(scenes.request(f"i-{n}", execution=f"x{n}"))
        entries = sorted(await scenes.receive(store), key=lambda entry: entry.instance, reverse=True)
        deliveries = await store.checkout(entries, [None] * 8)
        assert [delivery.entry for delivery in deliveries] == entries
        assert [delivery.execution for delivery in deliveries] == [f"x{n}" for n in reversed(range(8))]

    async def test_a_long_mailbox_comes_in_pieces(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        sent = [scenes.event(f"E{n}") for n in range(150)]
        await scenes.send(store, "one", *sent)
        first = await scenes.take(store)
        assert scenes.said(first) == sent[:100]
        await scenes.accept(store, scenes.turn(first, "h2"))
        second = await scenes.take(store)
        assert scenes.said(second) == sent[100:]

    async def test_a_long_history_is_complete(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        large = [scenes.raised(f"{n:04d}".ljust(250, ".")) for n in range(6000)]
        await scenes.accept(store, scenes.turn(delivery, "h1", *large))
        await scenes.send(store, "one", scenes.event())
        delivery = await scenes.take(store)
        assert len(delivery.events) == 6001
        assert delivery.events[1:-1] == tuple(large[:-1])
        assert delivery.events[-1].commit == "h1"

    async def test_a_second_entry_is_told_from_the_bell(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.start(scenes.request("one"))
        second = await store_factory.xadd_ready(scenes.partition(store, "one"), {b"i": b"one"})
        entries = await scenes.receive(store)
        deliveries = await store.checkout(entries, [None, None])
        assert entries[1].id == second
        assert {delivery.announced for delivery in deliveries} == {entries[0].id}

    async def test_there_may_be_no_such_instance(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store_factory.xadd_ready(0, {b"i": b"nobody"})
        delivery = await scenes.take(store)
        assert (delivery.status, delivery.head, delivery.mails, delivery.start) == (None, "", (), None)


async def _after_two_turns(store: Hub):
    """An instance with history [h1], ['', h2], checked out cold because of a third message."""
    await scenes.running(store)
    await scenes.send(store, "one", scenes.event("A"))
    delivery = await scenes.take(store)
    await scenes.accept(store, scenes.turn(delivery, "h2", scenes.raised("A"), scenes.raised("B")))
    await scenes.send(store, "one", scenes.event("C"))
    return await scenes.take(store)
