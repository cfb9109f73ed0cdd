"""What a foreign client may have written: none of it stops a worker, none of it vanishes."""

from __future__ import annotations

import pytest

from redurable.core.codec import encode
from redurable.core.delivery import Position, Timer
from redurable.core.events import ExecutionCompleted
from redurable.core.messages import Malformed, RaiseEvent
from redurable.core.values import RuntimeStatus
from redurable.errors import StoreRefused
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import EVENT, EXHAUSTED, StoreFactory


class TestBadEntries:
    async def test_a_mailbox_may_hold_anything(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await store_factory.xadd_mailbox("one", {b"m": b"{not json"})
        await store_factory.xadd_mailbox("one", {b"what": b"ever"})
        await store_factory.xadd_mailbox("one", {b"m": b'{"type":"RaiseEvent","name":"Go","v":9}'})
        await store_factory.xadd_mailbox("one", {b"event": b"Go", b"data": b"true", b"id": b"e-1"})
        assert await scenes.sweep(store) == 1
        *malformed, event = scenes.said(await scenes.take(store))
        assert event == RaiseEvent(name="Go", data=scenes.TRUE, id="e-1")
        assert [message.fields for message in malformed if isinstance(message, Malformed)] == [
            ((b"m", b"{not json"),),
            ((b"what", b"ever"),),
            ((b"m", b'{"type":"RaiseEvent","name":"Go","v":9}'),),
        ]

    async def test_a_ready_entry_that_names_nobody_is_dropped(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        for fields in ({b"hello": b"world"}, {b"i": b"\xff"}):
            await store_factory.xadd_ready(scenes.partition(one, "one"), fields)
        await one.start(scenes.request())
        assert [entry.instance for entry in await scenes.receive(one)] == ["one"]
        taken = await scenes.take_over(store_factory, two)
        assert [entry.instance for entry in taken.entries] == ["one"]

    async def test_a_task_that_cannot_be_read_is_a_dead_letter(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await store_factory.xadd_task(0, "default", {b"t": b"{not json"})
        await store_factory.xadd_task(0, "default", {b"what": b"ever"})
        await store_factory.xadd_task(0, "default", {b"t": encode(scenes.task())})
        (lease,) = await one.receive_tasks(scenes.demand(), 0)
        assert lease.task == scenes.task()
        assert len((await scenes.take_over(store_factory, two)).tasks) == 1
        await scenes.drain(one)
        letters = await store_factory.dead_letters()
        assert [letter.get(b"t", letter.get(b"what")) for letter in letters] == [b"{not json", b"ever"]
        assert all(letter[b"reason"] for letter in letters)

    async def test_a_history_that_cannot_be_read_stops_only_its_instance(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store, "one")
        await scenes.running(store, "two")
        await scenes.send(store, "one", scenes.event())
        await scenes.send(store, "two", scenes.event())
        await store_factory.break_history("one")
        entries = sorted(await scenes.receive(store), key=lambda entry: entry.instance)
        broken, sound = await store.checkout(entries, [None, Position("x1", 1, "h1")])
        assert broken.unreadable
        assert (broken.events, broken.mails, broken.start, broken.head) == ((), (), None, "h1")
        assert (sound.unreadable, sound.base, len(sound.mails)) == ("", 1, 1)
        snapshot = await store.get("one")
        assert snapshot is not None
        assert (snapshot.name, snapshot.length) == ("Demo", 1)

    async def test_an_outcome_for_an_unusable_mailbox_is_a_dead_letter(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        (timer,) = (await scenes.running(store, "two", timers=(Timer(1, 1),))).timers
        for instance in ("one", "two"):
            await store_factory.xadd_mailbox(instance, EVENT, EXHAUSTED)
        assert (await store.complete([scenes.ended(lease)], [None])).accepted == (True,)
        assert (await store.fire([timer])).fired == 1
        await scenes.drain(store)
        letters = {letter[b"instance"]: letter for letter in await store_factory.dead_letters()}
        assert letters.keys() == {b"one", b"two"}
        assert all(b"mailbox is unusable" in letter[b"reason"] for letter in letters.values())
        assert letters[b"one"][b"m"] == encode(scenes.result(lease))

    async def test_an_outcome_that_found_no_room_does_not_vanish_with_its_instance(
        self, store_factory: StoreFactory
    ) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        await store_factory.xadd_mailbox("one", EVENT, EXHAUSTED)
        await store.complete([scenes.ended(lease)], [None])
        await scenes.sweep(store)
        end = scenes.turn(await scenes.take(store), "h2", ExecutionCompleted(at=2), status=RuntimeStatus.COMPLETED)
        await scenes.accept(store, end)
        await scenes.drain(store)
        (letter,) = await store_factory.dead_letters()
        assert letter[b"m"] == encode(scenes.result(lease))

    async def test_a_used_up_mailbox_is_usable_again_when_it_was_read(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await store_factory.xadd_mailbox("one", EVENT, EXHAUSTED)
        assert await scenes.sweep(store) == 1
        await scenes.accept(store, scenes.turn(await scenes.take(store), "h2", scenes.raised()))
        await scenes.send(store, "one", scenes.event())
        assert scenes.said(await scenes.take(store)) == [scenes.event()]

    async def test_a_hub_of_another_format_is_refused(self, store_factory: StoreFactory) -> None:
        await store_factory.store("w1")
        await store_factory.break_format()
        with pytest.raises(StoreRefused, match="format"):
            await store_factory.store("w2")

    async def test_a_hub_keeps_its_number_of_partitions(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        assert one.partitions == two.partitions >= 2
        assert (one.hub, one.consumer, two.consumer) == (two.hub, "w1", "w2")
