"""Cancelled calls of activities: who is told, and when."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from redurable.core.events import ExecutionTerminated
from redurable.core.messages import Cancel
from redurable.core.values import Parent, RuntimeStatus
from redurable.store.port import CanceledCalls, Hub, Lost, SendOutcome
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory


class TestCanceledCalls:
    async def test_nothing_is_told_while_nothing_is_cancelled(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        leases = await scenes.with_tasks(store, scenes.task())
        assert await _news(store) == []
        assert await store.renew([], leases) == Lost()

    async def test_a_worker_that_comes_later_reads_all_that_is_kept(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.with_tasks(store, scenes.task(), scenes.task(seq=2), scenes.task(seq=3))
        await _cancel(store, 3, 1)
        other = await store_factory.store("w2")
        assert sorted(_calls(await _news(other))) == [("one", "x1", 1), ("one", "x1", 3)]

    async def test_news_is_read_behind_a_place(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.with_tasks(store, scenes.task(), scenes.task(seq=2))
        await _cancel(store, 1)
        (first,) = await _news(store)
        at = {scenes.partition(store, "one"): first.id}
        assert await store.canceled(at, 0) == []
        await _cancel(store, 2, head="h3")
        ((number, second),) = await store.canceled(at, 0)
        assert (number, _calls([second])) == (scenes.partition(store, "one"), [("one", "x1", 2)])

    async def test_a_reader_that_waits_is_woken(self, store_factory: StoreFactory) -> None:
        store, other = await store_factory.store("w1"), await store_factory.store("w2")
        await scenes.with_tasks(store, scenes.task())
        everywhere = dict.fromkeys(scenes.everywhere(store), "")
        news, _ = await scenes.together(
            partial(other.canceled, everywhere, 1000 * scenes.PATIENCE_S), partial(_cancel, store, 1)
        )
        assert _calls(told for _, told in news) == [("one", "x1", 1)]

    async def test_whoever_renews_learns_of_it(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        first, second = await scenes.with_tasks(one, scenes.task(), scenes.task(seq=2))
        await _cancel(one, 1)
        assert await one.renew([], [first, second]) == Lost(canceled=(first,))
        await scenes.take_over(store_factory, two)
        assert await one.renew([], [first, second]) == Lost(tasks=(first, second))

    async def test_an_execution_that_ends_cancels_what_it_left(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        await scenes.send(store, "one", scenes.event())
        ended = ExecutionTerminated(at=2)
        commit = scenes.turn(
            await scenes.take(store), "h2", ended, status=RuntimeStatus.TERMINATED, canceled_calls=(1,)
        )
        await scenes.accept(store, commit)
        assert _calls(await _news(store)) == [("one", "x1", 1)]
        await store.purge("one")
        assert await store.renew([], [lease]) == Lost(canceled=(lease,))

    async def test_a_fenced_turn_tells_nobody(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        await scenes.send(store, "one", scenes.event())
        delivery = await scenes.take(store)
        await scenes.accept(store, scenes.turn(delivery, "h2", scenes.raised()))
        await store.commit([scenes.turn(delivery, "h3", scenes.raised(), canceled_calls=(1,))])
        assert await _news(store) == []
        assert await store.renew([], [lease]) == Lost()

    async def test_a_turn_that_is_repeated_tells_once(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.with_tasks(store, scenes.task())
        await scenes.send(store, "one", scenes.event())
        commit = scenes.turn(await scenes.take(store), "h2", scenes.raised(), canceled_calls=(1,))
        await store.commit([commit])
        await store.commit([commit])
        assert _calls(await _news(store)) == [("one", "x1", 1)]


class TestCancel:
    async def test_a_parked_instance_hears_it(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.start(scenes.request(delay_ms=3_600_000))
        assert await scenes.receive(store) == []
        message = Cancel(reason="no stock", id="c1")
        assert await scenes.send(store, "one", message) == [SendOutcome.SENT]
        delivery = await scenes.take(store)
        assert scenes.said(delivery) == [message]
        assert delivery.start == scenes.message()

    async def test_nobody_hears_it_where_there_is_none_or_none_any_more(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        assert await scenes.send(store, "one", Cancel()) == [SendOutcome.FINISHED]
        assert await scenes.send(store, "two", Cancel(parent=Parent("p", "x", 1))) == [SendOutcome.MISSING]


async def _cancel(store: Hub, *seqs: int, head: str = "h2") -> None:
    """A turn of instance `one` that cancels these calls."""
    await scenes.send(store, "one", scenes.event())
    await scenes.accept(store, scenes.turn(await scenes.take(store), head, scenes.raised(), canceled_calls=seqs))


async def _news(store: Hub) -> list[CanceledCalls]:
    return [told for _, told in await store.canceled(dict.fromkeys(scenes.everywhere(store), ""), 0)]


def _calls(news: Iterable[CanceledCalls]) -> list[tuple[str, str, int]]:
    return [(told.instance, told.execution, seq) for told in news for seq in told.seqs]
