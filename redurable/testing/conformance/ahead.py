"""Turns decided ahead: what an activity's outcome leads to, committed by the step that ends its attempt."""

from __future__ import annotations

from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from redurable.core.delivery import Delivery, Entry, Outcome, Park, TurnCommit
from redurable.core.events import ActivityCompleted, ExecutionCompleted
from redurable.core.values import RuntimeStatus
from redurable.store.port import Completed, Hub, Reclaimed, TaskEnd, TaskLease
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory


class TestAhead:
    async def test_a_turn_takes_the_place_of_its_outcome(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        end = _end(store, lease, custom_status=Raw(b"1"), tasks=(scenes.task(seq=2), scenes.task(seq=3)))
        done = await _complete(store, end, tasks=1)
        assert (done.accepted, _outcomes(done)) == ((True,), [Outcome.ACCEPTED])
        assert (done.deliveries, done.entries) == ((), ())
        assert [lease.task.seq for lease in done.tasks] == [2]
        snapshot = await store.get("one")
        assert snapshot is not None
        assert (snapshot.length, snapshot.unread, snapshot.custom_status) == (2, 0, Raw(b"1"))
        assert (await store.history("one"))[-1].commit == "h2"
        assert await scenes.receive(store) == []
        held = await store.recover()
        assert (held.entries, [lease.task.seq for lease in held.tasks]) == ((), [2])

    async def test_the_next_turn_goes_on_from_its_head(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        done = await _complete(store, _end(store, lease, tasks=(scenes.task(seq=2),)), tasks=1)
        again = _end(store, done.tasks[0], expected="h2", head="h3")
        assert _outcomes(await _complete(store, again)) == [Outcome.ACCEPTED]
        await scenes.send(store, "one", scenes.event())
        following = await scenes.take(store)
        assert (following.head, following.parks, len(following.events)) == ("h3", 0, 3)
        await scenes.accept(store, scenes.turn(following, "h4", scenes.raised()))

    async def test_it_may_be_the_last(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        number = scenes.partition(store, "one")
        before = await store.feed_position(number)
        end = _end(store, lease, ExecutionCompleted(at=2, commit="h2"), status=RuntimeStatus.COMPLETED)
        assert _outcomes(await _complete(store, end)) == [Outcome.ACCEPTED]
        ((_, change),) = await store.feed({number: before}, 0)
        assert (change.instance, change.status) == ("one", RuntimeStatus.COMPLETED)
        assert await store.recover() == Reclaimed()
        assert await store.purge("one") == "purged"

    async def test_mail_comes_first(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        await scenes.send(store, "one", scenes.event())
        done = await _complete(store, _end(store, lease))
        assert (done.accepted, _outcomes(done)) == ((True,), [Outcome.FENCED])
        (delivery,) = done.deliveries
        assert scenes.said(delivery) == [scenes.event(), scenes.result(lease)]
        await scenes.accept(store, scenes.turn(delivery, "h3", scenes.raised()))

    async def test_mail_comes_first_that_nobody_was_told_of(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        await store_factory.xadd_mailbox("one", {b"event": b"Foreign"})
        done = await _complete(store, _end(store, lease))
        assert _outcomes(done) == [Outcome.FENCED]
        assert [mail.id < after.id for mail, after in _neighbours(done.deliveries[0])] == [True]

    async def test_a_bell_comes_first_even_if_its_mail_is_gone(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        await scenes.send(store, "one", scenes.event())
        entries = await scenes.receive(store)
        await store_factory.empty_mailbox("one")
        assert _outcomes(await _complete(store, _end(store, lease))) == [Outcome.FENCED]
        assert scenes.said(await scenes.checkout(store, entries[0])) == [scenes.result(lease)]

    async def test_a_parked_instance_takes_none(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        await scenes.send(store, "one", scenes.event())
        delivery = await scenes.take(store)
        park = Park("unknown orchestrator", "no worker knows Demo", 3_600_000)
        await scenes.accept(store, replace(scenes.release(delivery, "h2"), park=park))
        await store_factory.empty_mailbox("one")
        done = await _complete(store, _end(store, lease, expected="h2", head="h3"))
        assert (_outcomes(done), done.deliveries) == ([Outcome.FENCED], ())

    async def test_a_turn_under_way_comes_first(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        await scenes.send(two, "one", scenes.event())
        other = await scenes.take(two)
        assert _outcomes(await _complete(one, _end(one, lease))) == [Outcome.FENCED]
        await scenes.accept(two, scenes.turn(other, "h3", scenes.raised()))
        assert scenes.said(await scenes.take(two)) == [scenes.result(lease)]

    async def test_a_turn_that_was_taken_meanwhile_fences_it(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        await scenes.send(two, "one", scenes.event())
        await scenes.accept(two, scenes.turn(await scenes.take(two), "h3", scenes.raised()))
        done = await _complete(one, _end(one, lease))
        assert _outcomes(done) == [Outcome.FENCED]
        assert scenes.said(done.deliveries[0]) == [scenes.result(lease)]
        assert [event.commit for event in await one.history("one")] == ["h1", "h3"]

    async def test_an_outcome_that_comes_too_late_brings_no_turn(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        (taken,) = (await scenes.take_over(store_factory, two)).tasks
        retry = TaskEnd(taken, retry=taken.task)
        assert (await two.complete([retry], [None])).accepted == (True,)
        done = await _complete(one, _end(one, lease))
        assert (done.accepted, _outcomes(done)) == ((False,), [Outcome.FENCED])
        assert len(await one.history("one")) == 1
        assert len(await two.receive_tasks(scenes.demand(), 0)) == 1

    async def test_a_repetition_is_recognised(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        end = _end(store, lease, tasks=(scenes.task(seq=2),))
        await _complete(store, end)
        done = await _complete(store, end)
        assert (done.accepted, _outcomes(done)) == ((False,), [Outcome.ALREADY_APPLIED])
        assert len(await store.history("one")) == 2
        assert len(await store.receive_tasks(scenes.demand(), 0)) == 1
        assert await scenes.receive(store) == []

    async def test_an_instance_that_is_gone_takes_neither(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        await scenes.finished(store, "two")
        await scenes.send(store, "one", scenes.event())
        last = scenes.turn(await scenes.take(store), "h9", ExecutionCompleted(at=2), status=RuntimeStatus.COMPLETED)
        await scenes.accept(store, last)
        assert await store.purge("one") == "purged"
        assert _outcomes(await _complete(store, _end(store, lease))) == [Outcome.FENCED]
        assert await store.get("one") is None

    async def test_each_end_stands_alone(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        leases = [(await scenes.with_tasks(store, scenes.task(name), instance=name))[0] for name in ("a", "b", "c")]
        await scenes.send(store, "b", scenes.event())
        ends = [_end(store, leases[0]), _end(store, leases[1]), scenes.ended(leases[2])]
        done = await store.complete(ends, [None] * 3, 10, scenes.everywhere(store))
        assert done.accepted == (True, True, True)
        assert _outcomes(done) == [Outcome.ACCEPTED, Outcome.FENCED]
        assert sorted(delivery.entry.instance for delivery in done.deliveries) == ["b", "c"]


def _end(store: Hub, lease: TaskLease, *more: Any, expected: str = "h1", head: str = "h2", **fields: Any) -> TaskEnd:
    """The end of an attempt of the instance's task, with the turn that a worker that knows its head decides."""
    task = lease.task
    entry = Entry(scenes.partition(store, task.instance), "", task.instance)
    completed = ActivityCompleted(at=2, seq=task.seq, result=Raw(b'"done"'), commit="" if more else head)
    options: dict[str, Any] = {"status": RuntimeStatus.RUNNING, "execution": task.execution, **fields}
    turn = TurnCommit(entry=entry, expected=expected, head=head, events=(completed, *more), **options)
    return TaskEnd(lease, message=scenes.result(lease), turn=turn)


async def _complete(store: Hub, end: TaskEnd, tasks: int = 0) -> Completed:
    return await store.complete([end], [None], 10, scenes.everywhere(store), scenes.demand(tasks) if tasks else None)


def _outcomes(done: Completed) -> list[Outcome]:
    return [receipt.outcome for receipt in done.receipts]


def _neighbours(delivery: Delivery) -> list[tuple[Any, Any]]:
    return list(zip(delivery.mails, delivery.mails[1:], strict=False))
