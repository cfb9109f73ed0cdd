"""The hub's intake: what any Redis client may XADD."""

from __future__ import annotations

import pytest

from redurable.core.messages import Suspend
from redurable.core.values import RuntimeStatus
from redurable.store.routing import Grievance, Routed
from redurable.store.unknown import Unclaimed
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import EVENT, EXHAUSTED, StoreFactory


class TestRoute:
    async def test_delivers_what_foreign_clients_say(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store_factory.xadd_intake({b"start": b"Demo", b"instance": b"one", b"input": b'{"n":1}', b"id": b"s-1"})
        await store_factory.xadd_intake({b"event": b"Go", b"instance": b"one", b"data": b"true", b"id": b"e-1"})
        await store_factory.xadd_intake({b"suspend": b"audit", b"instance": b"one"})
        assert await store.route(10, 0) == Routed(3)
        assert await store.route(10, 0) == Routed()
        delivery = await scenes.take(store)
        assert (delivery.status, delivery.name, delivery.execution) == (RuntimeStatus.PENDING, "Demo", "s-1")
        assert delivery.start is not None
        assert bytes(delivery.start.call.input) == b'{"n":1}'
        go, suspend = scenes.said(delivery)
        assert go == scenes.event(id="e-1", data=scenes.TRUE)
        assert suspend == Suspend(reason="audit")

    async def test_delivers_once_whoever_routes(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        names = ["one", scenes.elsewhere(one, "one")]
        for name in names:
            await scenes.running(one, name)
        for n in range(10):
            await store_factory.xadd_intake({b"event": b"E%d" % n, b"instance": names[n % 2].encode()})
        await scenes.together(*[lambda store=store: store.route(4, 0) for store in (one, two) * 2])
        while (await one.route(4, 0)) != Routed():
            pass
        deliveries = await one.checkout(await scenes.receive(one), [None, None])
        heard = {delivery.entry.instance: [m.name for m in scenes.events(delivery)] for delivery in deliveries}
        assert heard == {names[0]: [f"E{n}" for n in range(0, 10, 2)], names[1]: [f"E{n}" for n in range(1, 10, 2)]}

    async def test_an_event_without_id_gets_one(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        entry_id = await store_factory.xadd_intake({b"event": b"Go", b"instance": b"one"})
        assert await store.route(10, 0) == Routed(1, (), Unclaimed(kept=1))
        assert scenes.said(await scenes.begin(store)) == [scenes.event(id=f"intake:{entry_id}")]

    async def test_waits_for_the_first_entry(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        routed, _ = await scenes.together(
            lambda: store.route(10, 5_000), lambda: store_factory.xadd_intake({b"event": b"Go", b"instance": b"one"})
        )
        assert routed == Routed(1)
        assert len((await scenes.take(store)).mails) == 1

    async def test_does_not_wait_for_ever(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        assert await scenes.together(lambda: store.route(10, 20)) == [Routed()]

    @pytest.mark.parametrize(
        ("fields", "words", "grievance"),
        [
            ({b"event": b"Go"}, b"instance", "malformed"),
            ({b"instance": b"one", b"hello": b"world"}, b"hello", "malformed"),
            ({b"instance": b"one", b"event": b"Go", b"data": b"{not json"}, b"JSON", "malformed"),
            ({b"instance": b"one", b"event": b"\xff\xfe"}, b"UTF-8", "malformed"),
            ({b"instance": b"\x00", b"event": b"Go"}, b"instance id", "malformed"),
            ({b"instance": b"nobody", b"terminate": b""}, b"no such instance", "missing"),
            ({b"instance": b"over", b"event": b"Go"}, b"finished", "finished"),
            ({b"instance": b"one", b"start": b"Demo", b"id": b"x9"}, b"exists", "taken"),
        ],
        ids=["no-instance", "no-kind", "data", "encoding", "instance", "missing", "finished", "taken"],
    )
    async def test_what_nobody_can_read_is_a_dead_letter(
        self, store_factory: StoreFactory, fields: dict[bytes, bytes], words: bytes, grievance: Grievance
    ) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await scenes.finished(store, "over")
        await store_factory.xadd_intake(fields)
        await store_factory.xadd_intake({b"event": b"Good", b"instance": b"one"})
        assert await store.route(10, 0) == Routed(1, (grievance,))
        await scenes.drain(store)
        (letter,) = await store_factory.dead_letters()
        assert words in letter[b"reason"]
        assert letter[b"at"].isdigit()
        assert letter[b"position"]
        assert {name: letter[name] for name in fields} == fields
        assert [message.name for message in scenes.events(await scenes.take(store))] == ["Good"]

    async def test_a_repeated_start_is_no_dead_letter(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        for _ in range(2):
            await store_factory.xadd_intake({b"start": b"Demo", b"instance": b"one", b"id": b"s-1"})
        assert await store.route(10, 0) == Routed(2)
        await scenes.drain(store)
        assert await store_factory.dead_letters() == []
        assert (await scenes.take(store)).execution == "s-1"

    async def test_an_unusable_mailbox_holds_up_no_other(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await scenes.running(store, "two")
        await store_factory.xadd_mailbox("one", EVENT, EXHAUSTED)
        for instance in (b"one", b"two"):
            await store_factory.xadd_intake({b"event": b"Go", b"instance": instance})
        assert await store.route(10, 0) == Routed(1, ("unusable",))
        await scenes.drain(store)
        (letter,) = await store_factory.dead_letters()
        assert (letter[b"instance"], letter[b"event"]) == (b"one", b"Go")
        assert b"mailbox" in letter[b"reason"]
        assert (await scenes.take(store)).entry.instance == "two"
