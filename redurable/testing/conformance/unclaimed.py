"""Events for instances that do not exist yet, or never will; and events that user code has not taken."""

from __future__ import annotations

import pytest

from redurable.core.delivery import Delivery, Outgoing
from redurable.core.events import ExecutionCompleted, ExecutionContinuedAsNew
from redurable.core.messages import RaiseEvent, StartExecution, Terminate
from redurable.core.values import RuntimeStatus
from redurable.store.port import Hub, SendOutcome
from redurable.store.routing import Relayed, Routed
from redurable.store.unknown import Unclaimed, UnknownInstance
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory


class TestUnknownInstance:
    async def test_dropped_events_leave_nothing(self, store_factory: StoreFactory) -> None:
        store, other = await store_factory.store("w1"), await store_factory.store("w2")
        await store.set_unknown(UnknownInstance("drop"))
        assert await scenes.send(other, "one", scenes.event()) == [SendOutcome.DROPPED]
        await _raise_from_intake(store_factory, "one")
        assert await other.route(10, 0) == Routed(0, (), Unclaimed(dropped=1))
        assert await _relay(other, "one") == Relayed(1, Unclaimed(dropped=1))
        await scenes.drain(store)
        assert await store_factory.dead_letters() == []
        assert scenes.said(await scenes.begin(store)) == []

    async def test_dead_letters_say_what_they_were(self, store_factory: StoreFactory) -> None:
        store, other = await store_factory.store("w1"), await store_factory.store("w2")
        await store.set_unknown(UnknownInstance("dead-letter"))
        assert await scenes.send(other, "one", scenes.event("Sent")) == [SendOutcome.BURIED]
        await _raise_from_intake(store_factory, "one")
        assert await other.route(10, 0) == Routed(0, ("missing",), Unclaimed(buried=1))
        assert await _relay(other, "one") == Relayed(1, Unclaimed(buried=1))
        await scenes.drain(store)
        letters = await store_factory.dead_letters()
        assert [(letter[b"reason"], letter[b"instance"]) for letter in letters] == [(b"no such instance", b"one")] * 3
        assert {name: letters[1][name] for name in (b"event", b"data")} == {b"event": b"Foreign", b"data": b"1"}
        assert b'"Sent"' in letters[0][b"m"]
        assert b'"Relayed"' in letters[2][b"m"]
        assert scenes.said(await scenes.begin(store)) == []

    async def test_what_is_too_much_is_a_dead_letter(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        outcomes = await scenes.send(store, "one", *[scenes.event()] * 1001)
        assert outcomes == [SendOutcome.KEPT] * 1000 + [SendOutcome.BURIED]
        await store.set_unknown(UnknownInstance(most=2))
        assert await scenes.send(store, "two", *[scenes.event()] * 3) == [SendOutcome.KEPT] * 2 + [SendOutcome.BURIED]
        await _raise_from_intake(store_factory, "two")
        assert await store.route(10, 0) == Routed(0, ("missing",), Unclaimed(buried=1))
        await scenes.drain(store)
        letters = await store_factory.dead_letters()
        assert [letter[b"instance"] for letter in letters].count(b"two") == 2
        assert {letter[b"reason"] for letter in letters} == {b"no such instance, and too many events wait for it"}
        assert len((await scenes.begin(store, "two")).mails) == 2

    async def test_only_events_wait(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        for rule in (UnknownInstance(), UnknownInstance("drop"), UnknownInstance("dead-letter")):
            await store.set_unknown(rule)
            assert await scenes.send(store, "one", Terminate()) == [SendOutcome.MISSING]
            await store_factory.xadd_intake({b"terminate": b"", b"instance": b"one"})
            assert await store.route(10, 0) == Routed(0, ("missing",))

    async def test_a_rule_is_for_what_comes_after_it(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        assert await scenes.send(store, "one", scenes.event("Kept")) == [SendOutcome.KEPT]
        await store.set_unknown(UnknownInstance("drop"))
        assert await scenes.send(store, "one", scenes.event("Dropped")) == [SendOutcome.DROPPED]
        await store.set_unknown(UnknownInstance())
        assert await scenes.send(store, "one", scenes.event("Kept too")) == [SendOutcome.KEPT]
        assert _names(await scenes.begin(store)) == ["Kept", "Kept too"]


class TestKeptEvents:
    async def test_an_event_id_is_kept_once(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.set_unknown(UnknownInstance(most=3))
        for event in (scenes.event("A", id="a-1"), scenes.event("B", id="b-1")):
            assert await scenes.send(store, "one", event, event) == [SendOutcome.KEPT] * 2
        for _ in range(3):
            await store_factory.xadd_intake({b"event": b"A", b"instance": b"one", b"id": b"a-1"})
        assert await store.route(10, 0) == Routed(3, (), Unclaimed(kept=3))
        assert await scenes.send(store, "two", scenes.event("A", id="a-1")) == [SendOutcome.KEPT]
        assert _names(await scenes.begin(store)) == ["A", "B"]
        # Its history knows the id from now on: the turn that reads a repetition drops it.
        assert await scenes.send(store, "one", scenes.event("A", id="a-1")) == [SendOutcome.SENT]

    async def test_an_event_waits_only_so_long(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.set_unknown(UnknownInstance(keep_ms=1_000))
        await scenes.send(store, "one", scenes.event("Old", id="i-1"))
        await scenes.send(store, "two", scenes.event("Old"))
        await store_factory.advance(700)
        before = await scenes.now(store)
        await scenes.send(store, "one", scenes.event("New"))
        await store_factory.advance(400)
        # A busy machine may let so much time pass meanwhile that the new one goes as well.
        assert _names(await scenes.begin(store)) == ["New"] or await scenes.now(store) - before >= 1_000
        assert await scenes.send(store, "two", scenes.event("New", id="i-1")) == [SendOutcome.KEPT]
        assert _names(await scenes.begin(store, "two")) == ["New"]

    @pytest.mark.parametrize("way", ["client", "delayed", "intake", "child"])
    async def test_they_come_first_and_in_order_however_it_starts(self, store_factory: StoreFactory, way: str) -> None:
        store = await store_factory.store("w1")
        await scenes.send(store, "one", scenes.event("A"))
        await _raise_from_intake(store_factory, "one")
        await store.route(10, 0)
        match way:
            case "client":
                await store.start(scenes.request())
            case "delayed":
                await store.start(scenes.request(delay_ms=1))
                await store_factory.advance(2)
            case "intake":
                await store_factory.xadd_intake({b"start": b"Demo", b"instance": b"one"})
                await store.route(10, 0)
            case _:
                await store.send([Outgoing("one", scenes.message())])
        await scenes.send(store, "one", scenes.event("Z"))
        await scenes.fire(store)
        delivery = await scenes.take(store)
        assert delivery.start is not None
        assert _names(delivery) == ["A", "Foreign", "Z"]
        assert await store_factory.mailbox_ttl_ms("one") is None

    @pytest.mark.parametrize("way", ["purge", "replace"])
    async def test_an_older_instance_leaves_no_mail(self, store_factory: StoreFactory, way: str) -> None:
        store = await store_factory.store("w1")
        await scenes.send(store, "one", scenes.event("Kept for the first", id="k-1"))
        delivery = await scenes.begin(store)
        await scenes.send(store, "one", scenes.event("Left by the first", id="l-1"))
        end = ExecutionCompleted(at=2)
        await scenes.accept(store, scenes.turn(delivery, "end", end, status=RuntimeStatus.COMPLETED))
        assert await scenes.send(store, "one", scenes.event("Too late")) == [SendOutcome.FINISHED]
        if way == "replace":
            await store.start(scenes.request(execution="x2", on_conflict="replace-finished"))
            wanted = list[str]()
        else:
            assert await store.purge("one") == "purged"
            for event_id in ("k-1", "l-1"):
                await scenes.send(store, "one", scenes.event(event_id, id=event_id))
            await store.start(scenes.request(execution="x2"))
            wanted = ["k-1", "l-1"]
        delivery = (await _deliveries(store))[-1]  # The first one's bell may still ring.
        assert (delivery.execution, _names(delivery)) == ("x2", wanted)


class TestUnreadEvents:
    async def test_a_commit_says_how_many_there_are(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store, unread={"Go": 2, "ünï": 101})
        await scenes.send(store, "one", scenes.event())
        assert await _unread(store) == {"Go": 2, "ünï": 101}
        delivery = await scenes.take(store)
        assert delivery.unread == {"Go": 2, "ünï": 101}
        await scenes.accept(store, scenes.turn(delivery, "h2"))
        assert await _unread(store) == {"Go": 2, "ünï": 101}
        await scenes.send(store, "one", scenes.event())
        delivery = await scenes.take(store)
        following = StartExecution(name="Demo", execution="x2", number=2)
        end = ExecutionContinuedAsNew(at=2, next="x2")
        await scenes.accept(store, scenes.turn(delivery, "h3", end, next=following, unread={"Go": 1}))
        delivery = await scenes.take(store)
        assert (delivery.execution, delivery.unread) == ("x2", {"Go": 1})
        await scenes.accept(store, scenes.turn(delivery, "h4", unread={}))
        assert await _unread(store) == {}

    async def test_they_are_no_matter_of_a_later_instance(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        end = ExecutionCompleted(at=2)
        await scenes.accept(store, scenes.turn(delivery, "end", end, status=RuntimeStatus.COMPLETED, unread={"Go": 1}))
        assert await _unread(store) == {"Go": 1}
        await store.start(scenes.request(execution="x2", on_conflict="replace-finished"))
        assert await _unread(store) == {}
        assert (await scenes.take(store)).unread == {}


async def _raise_from_intake(factory: StoreFactory, instance: str) -> None:
    await factory.xadd_intake({b"event": b"Foreign", b"instance": instance.encode(), b"data": b"1"})


async def _relay(store: Hub, instance: str) -> Relayed:
    """Another instance raises an event on this one."""
    sender = scenes.elsewhere(store, instance)
    await scenes.running(store, sender, outbox=(Outgoing(instance, scenes.event("Relayed")),))
    return await store.relay(scenes.partition(store, sender), 1)


async def _deliveries(store: Hub) -> list[Delivery]:
    return [await scenes.checkout(store, entry) for entry in await scenes.receive(store)]


async def _unread(store: Hub) -> dict[str, int]:
    snapshot = await store.get("one")
    assert snapshot is not None
    return snapshot.unread_events


def _names(delivery: Delivery) -> list[str]:
    return [message.name for message in scenes.said(delivery) if isinstance(message, RaiseEvent)]
