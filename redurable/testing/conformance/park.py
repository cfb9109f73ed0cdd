"""Instances that wait until code comes that can take their turn."""

from __future__ import annotations

from msgspec.structs import replace

from redurable.core.delivery import Delivery, Outcome, Park, TurnCommit
from redurable.core.messages import Mail, Resume, Suspend, Terminate
from redurable.store.port import Hub, SendOutcome
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import EVENT, StoreFactory

HOUR_MS = 3_600_000


class TestPark:
    async def test_mail_stays_and_rings_no_more(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _park(store, await scenes.begin(store), "h1")
        assert await scenes.send(store, "one", scenes.event("A")) == [SendOutcome.SENT]
        await scenes.sweep(store)
        assert await scenes.receive(store) == []
        snapshot = await store.get("one")
        assert snapshot is not None
        mark = snapshot.quarantined
        assert mark is not None
        assert (mark.reason, mark.detail) == ("unknown orchestrator", "no worker knows Demo")
        assert (snapshot.parks, snapshot.held) == (1, False)
        assert snapshot.parked_until == mark.since + HOUR_MS
        assert (snapshot.unread, snapshot.start) == (1, scenes.message())
        assert (await store.recover()).entries == ()

    async def test_is_tried_again_when_its_time_comes(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _park(store, await scenes.begin(store), "h1", retry_ms=1)
        await store_factory.advance(2)
        await scenes.fire(store)
        delivery = await scenes.take(store)
        assert (delivery.parks, delivery.start, delivery.head) == (1, scenes.message(), "h1")
        await _park(store, delivery, "h2", retry_ms=1)
        await store_factory.advance(2)
        await scenes.fire(store)
        assert (await scenes.take(store)).parks == 2

    async def test_an_emptied_mailbox_rings_no_more_when_the_time_comes(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await store_factory.xadd_mailbox("one", EVENT)
        await scenes.sweep(store)
        await _park(store, await scenes.take(store), "h2", retry_ms=1)
        await store_factory.empty_mailbox("one")
        await store_factory.advance(2)
        assert await scenes.fire(store) == 1
        assert await scenes.receive(store) == []

    async def test_control_messages_are_heard(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        head = ""
        delivery = await scenes.begin(store)
        for n, control in enumerate((Terminate(), Suspend(), Resume()), start=1):
            await _park(store, delivery, head := f"h{n}")
            assert await scenes.receive(store) == []
            await scenes.send(store, "one", control)
            delivery = await scenes.take(store)
            assert scenes.said(delivery)[-1] == control
        assert delivery.head == head

    async def test_a_control_message_that_comes_amid_the_turn_is_heard_at_once(
        self, store_factory: StoreFactory
    ) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        await scenes.send(store, "one", scenes.event(), Terminate())
        await _park(store, delivery, "h1")
        again = await scenes.take(store)
        assert scenes.said(again) == [scenes.event(), Terminate()]
        assert again.heard == again.mails[1].id
        await _park(store, again, "h2")
        assert await scenes.receive(store) == []  # It rang once.
        await scenes.send(store, "one", Resume())
        again = await scenes.take(store)
        await scenes.send(store, "one", Suspend())
        await scenes.accept(store, replace(_parked(again, "h3"), heard=None))
        assert await scenes.receive(store) == []  # Who does not say what it heard asks for no ring.

    async def test_a_control_message_behind_the_page_is_delivered_with_it(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _park(store, await scenes.begin(store), "h1")
        await scenes.send(store, "one", *[scenes.event()] * 120)
        assert await scenes.receive(store) == []
        await scenes.send(store, "one", Suspend(reason="audit"), scenes.event())
        delivery = await scenes.take(store)
        assert scenes.said(delivery) == [scenes.event()] * 100
        assert delivery.control is not None
        assert delivery.control == Mail(delivery.heard, Suspend(reason="audit"))
        await scenes.accept(store, scenes.turn(delivery, "h2"))
        rest = await scenes.take(store)
        assert (len(rest.mails), rest.control) == (22, None)
        assert scenes.said(rest)[20] == Suspend(reason="audit")

    async def test_a_delayed_start_says_so(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.start(scenes.request(delay_ms=HOUR_MS))
        assert await scenes.send(store, "one", scenes.event(), Suspend()) == [SendOutcome.SENT] * 2
        delivery = await scenes.take(store)
        assert HOUR_MS - 60_000 < delivery.parked_until - delivery.now <= HOUR_MS
        assert (delivery.parks, delivery.start) == (0, scenes.message())
        await scenes.send(store, "one", Terminate())
        await scenes.accept(store, scenes.release(delivery, "h1"))
        again = await scenes.take(store)
        assert scenes.said(again) == [scenes.event(), Suspend(), Terminate()]
        await scenes.accept(store, scenes.release(again, "h2"))
        assert await scenes.receive(store) == []
        snapshot = await store.get("one")
        assert snapshot is not None
        assert (snapshot.unread, snapshot.start, snapshot.quarantined) == (3, scenes.message(), None)
        await scenes.running(store, "two")
        await scenes.send(store, "two", scenes.event())
        assert (await scenes.take(store)).parked_until == 0

    async def test_a_turn_ends_the_wait(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _park(store, await scenes.begin(store), "h1")
        await scenes.send(store, "one", Suspend())
        await scenes.accept(store, scenes.turn(await scenes.take(store), "h2", scenes.raised()))
        snapshot = await store.get("one")
        assert snapshot is not None
        assert snapshot.quarantined is None
        await scenes.send(store, "one", scenes.event())
        assert (await scenes.take(store)).parks == 0

    async def test_the_timer_of_a_wait_that_ended_is_harmless(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _park(store, await scenes.begin(store), "h1", retry_ms=1)
        await scenes.send(store, "one", Suspend())
        await scenes.accept(store, scenes.turn(await scenes.take(store), "h2", scenes.raised()))
        await store_factory.advance(2)
        await scenes.fire(store)
        assert await scenes.receive(store) == []

    async def test_the_timer_of_an_earlier_wait_does_not_end_a_later_one(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _park(store, await scenes.begin(store), "h1", retry_ms=1)
        await scenes.send(store, "one", Suspend())
        await _park(store, await scenes.take(store), "h2")
        await store_factory.advance(2)
        await scenes.fire(store)
        assert await scenes.receive(store) == []

    async def test_a_false_ring_does_not_end_the_wait(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _park(store, await scenes.begin(store), "h1")
        await store_factory.xadd_ready(scenes.partition(store, "one"), {b"i": b"one"})
        await scenes.accept(store, scenes.release(await scenes.take(store), "h2"))
        assert await scenes.receive(store) == []
        snapshot = await store.get("one")
        assert snapshot is not None
        assert (snapshot.start, bool(snapshot.quarantined)) == (scenes.message(), True)

    async def test_parking_is_fenced_like_any_turn(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        await scenes.accept(store, scenes.turn(delivery, "h1"))
        assert await scenes.outcome(store, _parked(delivery, "h2")) is Outcome.FENCED
        snapshot = await store.get("one")
        assert snapshot is not None
        assert snapshot.quarantined is None


def _parked(delivery: Delivery, head: str, retry_ms: int = HOUR_MS) -> TurnCommit:
    park = Park("unknown orchestrator", "no worker knows Demo", retry_ms)
    return TurnCommit(
        entry=delivery.entry,
        expected=delivery.head,
        head=head,
        execution=delivery.execution,
        park=park,
        heard=delivery.heard,
    )


async def _park(store: Hub, delivery: Delivery, head: str, retry_ms: int = HOUR_MS) -> None:
    await scenes.accept(store, _parked(delivery, head, retry_ms))
