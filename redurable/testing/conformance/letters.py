"""Dead letters: what people read of them, drop, and send again."""

from __future__ import annotations

from redurable.core.delivery import Outgoing
from redurable.store.letters import Letter
from redurable.store.port import Hub, TaskDemand
from redurable.store.routing import Routed
from redurable.store.unknown import UnknownInstance
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory


class TestLetters:
    async def test_are_read_in_pages_with_what_was_written(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store_factory.xadd_intake({b"terminate": b"why", b"instance": b"nobody"})
        position = await store_factory.xadd_intake({b"start": b"Demo", b"instance": b"one", b"input": b"{"})
        await store.route(10, 0)
        await _buried(store)
        (first,) = await store.letters("", 1)
        (second,) = await store.letters(first.id, 10)
        assert await store.letters(second.id, 10) == []
        told = {letter.instance: letter for letter in (first, second)}
        assert told["one"].position == position
        assert dict(told["nobody"].fields)[b"terminate"] == b"why"
        assert "'input' is not JSON" in told["one"].reason
        assert told["one"].at > 0

    async def test_are_dropped_once(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        letter = await _unheard(store_factory, store)
        assert await store.drop_letters([letter.id]) == 1
        assert await store.drop_letters([letter.id]) == 0
        assert await store.letters("", 10) == []

    async def test_are_sent_again_once_whoever_calls(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        letter = await _unheard(store_factory, one)
        await scenes.running(one)
        answers = await scenes.together(
            *[lambda store=store: store.redrive_letters(2 * [letter.id]) for store in (one, two)]
        )
        assert sorted(answers) == [[], [letter.id]]
        assert await one.letters("", 10) == []
        assert await one.route(10, 0) == Routed(1)
        assert scenes.said(await scenes.take(one)) == [scenes.event(id="e-9")]

    async def test_an_event_that_a_client_sent_can_be_sent_again(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.set_unknown(UnknownInstance("dead-letter"))
        await store.send([Outgoing("one", scenes.event(id="e-1", data=scenes.TRUE))])
        (letter,) = await _buried(store)
        await scenes.running(store)
        assert await store.redrive_letters([letter.id]) == [letter.id]
        await store.route(10, 0)
        assert scenes.said(await scenes.take(store)) == [scenes.event(id="e-1", data=scenes.TRUE)]

    async def test_what_did_not_come_by_the_intake_stays(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store_factory.xadd_task(0, "default", {b"t": b"{not json"})
        await store.receive_tasks(TaskDemand(("default",), 10), 0)
        (letter,) = await _buried(store)
        assert await store.redrive_letters([letter.id]) == []
        assert await store.letters("", 10) == [letter]


async def _unheard(store_factory: StoreFactory, store: Hub) -> Letter:
    """A termination would be for nobody, an event is kept: so the rule makes the event a dead letter."""
    await store.set_unknown(UnknownInstance("dead-letter"))
    await store_factory.xadd_intake({b"event": b"Go", b"instance": b"one", b"id": b"e-9"})
    await store.route(10, 0)
    (letter,) = await _buried(store)
    return letter


async def _buried(store: Hub) -> list[Letter]:
    """All dead letters, when none is on its way any more."""
    while any([(await store.relay(partition, 100)).count for partition in range(store.partitions)]):
        pass
    return await store.letters("", 10)
