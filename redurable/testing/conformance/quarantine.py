"""The mark of instances that take no turns, those that wait until somebody redrives them, and what is counted."""

from __future__ import annotations

from msgspec.structs import replace

from redurable.core.delivery import Delivery, Difference, Outcome, Park, TurnCommit
from redurable.core.messages import Terminate
from redurable.store.inspect import Snapshot
from redurable.store.port import Hub
from redurable.store.redriving import Redriven
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory

HOUR_MS = 3_600_000
PARTED = Difference(3, "ActivityScheduled name='A'", "ScheduleActivity name='B'", "orders.py:7, in f")


class TestQuarantine:
    async def test_the_mark_says_since_when_and_what_parted(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _park(store, await scenes.begin(store), "h1", 1, PARTED)
        first = (await _snapshot(store)).quarantined
        assert first is not None
        assert (first.reason, first.detail, first.difference) == ("nondeterminism", "it differs", PARTED)
        await store_factory.advance(2)
        await scenes.fire(store)
        await _park(store, await scenes.take(store), "h2", 1)
        snapshot = await _snapshot(store)
        assert snapshot.quarantined is not None
        assert (snapshot.quarantined.since, snapshot.quarantined.difference) == (first.since, None)
        assert (snapshot.parks, snapshot.held) == (2, False)

    async def test_held_waits_for_nothing_but_a_redrive(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _park(store, await scenes.begin(store), "h1", None)
        await scenes.send(store, "one", scenes.event())
        await store_factory.advance(50)
        assert await scenes.fire(store) == 0
        assert await scenes.sweep(store) == 0
        assert await scenes.receive(store) == []
        assert (await _snapshot(store)).held
        assert await store.redrive("one", "r1") is Redriven.REDRIVEN
        delivery = await scenes.take(store)
        assert (delivery.head, delivery.held, delivery.parks) == ("r1", False, 1)
        assert delivery.start == scenes.message()
        assert scenes.said(delivery) == [scenes.event()]
        assert (await _snapshot(store)).quarantined is not None
        await scenes.accept(store, scenes.turn(delivery, "h2"))
        snapshot = await _snapshot(store)
        assert (snapshot.quarantined, snapshot.parks, snapshot.held) == (None, 0, False)

    async def test_held_is_told_to_who_is_rung_by_a_control_message(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _park(store, await scenes.begin(store), "h1", None)
        await scenes.send(store, "one", Terminate())
        delivery = await scenes.take(store)
        assert (delivery.held, delivery.parks) == (True, 1)
        await scenes.accept(store, scenes.release(delivery, "h2"))
        assert await scenes.receive(store) == []
        assert (await _snapshot(store)).held

    async def test_held_rings_for_a_control_message_that_its_turn_did_not_hear(
        self, store_factory: StoreFactory
    ) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        await scenes.send(store, "one", scenes.event(), Terminate())
        await scenes.accept(store, replace(_parked(delivery, "h1", None), heard=delivery.heard))
        again = await scenes.take(store)
        assert (again.held, again.heard) == (True, again.mails[1].id)
        await scenes.accept(store, scenes.release(again, "h2"))
        assert await scenes.receive(store) == []  # It rang once.
        assert (await _snapshot(store)).held

    async def test_a_redrive_fences_who_is_about_to_park(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _park(store, await scenes.begin(store), "h1", HOUR_MS)
        await scenes.send(store, "one", Terminate())
        delivery = await scenes.take(store)
        assert await store.redrive("one", "r1") is Redriven.REDRIVEN
        assert await store.redrive("one", "r1") is Redriven.REDRIVEN
        assert await scenes.outcome(store, _parked(delivery, "h2", None)) is Outcome.FENCED
        assert await scenes.receive(store) == []
        again = await scenes.checkout(store, delivery.entry)
        assert (again.head, again.held, again.announced) == ("r1", False, delivery.entry.id)

    async def test_a_redrive_of_others_changes_nothing(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        assert await store.redrive("one", "r1") is Redriven.MISSING
        await scenes.running(store)
        assert await store.redrive("one", "r1") is Redriven.NOT_QUARANTINED
        await store.start(scenes.request("later", "x2", delay_ms=HOUR_MS))
        assert await store.redrive("later", "r1") is Redriven.NOT_QUARANTINED
        await scenes.finished(store, "two")
        assert await store.redrive("two", "r1") is Redriven.FINISHED
        assert await scenes.receive(store) == []


class TestDeliveries:
    async def test_taking_over_counts(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.start(scenes.request())
        assert [entry.deliveries for entry in await scenes.receive(one)] == [1]
        for store, count in ((two, 2), (one, 3), (one, 4)):
            taken = await scenes.take_over(store_factory, store)
            assert [entry.deliveries for entry in taken.entries] == [count]

    async def test_renewing_and_recovering_do_not_count(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.start(scenes.request())
        entries = await scenes.receive(one)
        for _ in range(3):
            await one.renew(entries, [])
            assert [entry.deliveries for entry in (await one.recover()).entries] == [1]
        assert [entry.deliveries for entry in (await scenes.take_over(store_factory, two)).entries] == [2]

    async def test_handing_back_begins_anew(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await one.start(scenes.request())
        await scenes.receive(one)
        taken = await scenes.take_over(store_factory, two)
        await two.hand_back(taken.entries, [])
        assert [entry.deliveries for entry in await scenes.receive(one)] == [1]


async def _snapshot(store: Hub) -> Snapshot:
    snapshot = await store.get("one")
    assert snapshot is not None
    return snapshot


def _parked(delivery: Delivery, head: str, retry_ms: int | None, parted: Difference | None = None) -> TurnCommit:
    park = Park("nondeterminism", "it differs", retry_ms, parted)
    return TurnCommit(entry=delivery.entry, expected=delivery.head, head=head, execution=delivery.execution, park=park)


async def _park(
    store: Hub, delivery: Delivery, head: str, retry_ms: int | None, parted: Difference | None = None
) -> None:
    await scenes.accept(store, _parked(delivery, head, retry_ms, parted))
