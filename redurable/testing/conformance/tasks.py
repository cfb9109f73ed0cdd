"""Activity work: receiving tasks and ending them."""

from __future__ import annotations

from redurable.core.delivery import Outcome, Position
from redurable.core.messages import ActivityFailure
from redurable.core.values import Failure
from redurable.store.port import Completed, TaskEnd
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory


class TestReceiveTasks:
    async def test_a_task_arrives_as_it_was_written(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        assert (lease.task, lease.queue, lease.again) == (scenes.task(), "default", False)
        assert lease.partition == scenes.partition(store, "one")

    async def test_only_the_queues_that_were_asked_for(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store, tasks=(scenes.task(queue="slow"), scenes.task(seq=2, queue="vip")))
        assert await store.receive_tasks(scenes.demand(10, "default"), 0) == []
        (lease,) = await store.receive_tasks(scenes.demand(10, "vip"), 0)
        assert (lease.queue, lease.task.seq) == ("vip", 2)

    async def test_no_more_than_asked_for(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        for n in range(8):
            name = f"i-{n}"
            await scenes.running(store, name, tasks=(scenes.task(name), scenes.task(name, 2)))
        received = [await store.receive_tasks(scenes.demand(5), 0) for _ in range(4)]
        assert [len(leases) for leases in received] == [5, 5, 5, 1]
        assert len({(lease.task.instance, lease.task.seq) for leases in received for lease in leases}) == 16

    async def test_a_task_goes_to_one_consumer(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await scenes.running(one, tasks=tuple(scenes.task(seq=seq) for seq in range(1, 21)))
        halves = await scenes.together(
            lambda: one.receive_tasks(scenes.demand(10), 0), lambda: two.receive_tasks(scenes.demand(10), 0)
        )
        assert sorted(lease.task.seq for half in halves for lease in half) == list(range(1, 21))

    async def test_waits_for_the_first_task(self, store_factory: StoreFactory) -> None:
        store, other = await store_factory.store("w1"), await store_factory.store("w2")
        received, _ = await scenes.together(
            lambda: store.receive_tasks(scenes.demand(), 5_000),
            lambda: scenes.running(other, tasks=(scenes.task(),)),
        )
        assert [lease.task for lease in received] == [scenes.task()]


class TestComplete:
    async def test_the_outcome_reaches_the_mailbox(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        first, second = await scenes.with_tasks(store, scenes.task(), scenes.task(seq=2))
        failure = ActivityFailure(execution="x1", seq=2, failure=Failure("ValueError", "no", attempts=3))
        ends = [scenes.ended(first), TaskEnd(second, message=failure)]
        assert await store.complete(ends, [None, None]) == Completed((True, True))
        assert scenes.said(await scenes.take(store)) == [scenes.result(first), failure]
        assert (await store.recover()).tasks == ()

    async def test_only_the_first_end_counts(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        (again,) = (await scenes.take_over(store_factory, two)).tasks
        assert (again.task, again.again) == (lease.task, True)
        end, late = scenes.ended(again), scenes.ended(lease)
        assert (await two.complete([end], [None])).accepted == (True,)
        assert (await one.complete([late], [None])).accepted == (False,)
        assert len((await scenes.take(one)).mails) == 1

    async def test_a_task_ends_once_in_a_batch(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        (again,) = (await scenes.take_over(store_factory, store)).tasks
        completed = await store.complete([scenes.ended(lease), scenes.ended(again)], [None, None])
        assert completed.accepted == (True, False)
        assert len((await scenes.take(store)).mails) == 1

    async def test_ends_of_a_batch_stand_alone(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        leases = await scenes.with_tasks(store, *[scenes.task(seq=seq) for seq in (1, 2, 3)])
        ends = [scenes.ended(lease) for lease in leases]
        await store.complete([ends[1]], [None])
        assert (await store.complete(ends, [None] * 3)).accepted == (True, False, True)
        assert [message.seq for message in scenes.results(await scenes.take(store))] == [2, 1, 3]

    async def test_the_outcome_of_an_execution_that_is_gone_is_dropped(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        leases = await scenes.with_tasks(store, scenes.task(), scenes.task("gone"), scenes.task(execution="x0"))
        ends = [scenes.ended(lease) for lease in leases]
        assert (await store.complete(ends, [None] * 3)).accepted == (True, True, True)
        assert scenes.said(await scenes.take(store)) == [scenes.result(leases[0])]
        assert await store.get("gone") is None
        assert await store_factory.mailbox_ttl_ms("gone") is None

    async def test_a_finished_instance_hears_nothing(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task("over"))
        await scenes.finished(store, "over")
        assert (await store.complete([scenes.ended(lease)], [None])).accepted == (True,)
        over = await store.get("over")
        assert over is not None
        assert over.unread == 0
        assert await scenes.receive(store) == []

    async def test_a_position_is_the_callers_whatever_the_end_was_for(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (late,) = await scenes.with_tasks(store, scenes.task(execution="x0"))
        await scenes.send(store, "one", scenes.event())
        await scenes.accept(store, scenes.turn(await scenes.take(store), "h2", scenes.raised()))
        await scenes.send(store, "one", scenes.event())
        for position, base in ((Position("x1", 2, "h2"), 2), (Position("x0", 2, "h2"), 0)):
            completed = await store.complete([scenes.ended(late)], [position], 10, scenes.everywhere(store))
            (delivery,) = completed.deliveries
            assert (delivery.base, len(delivery.events)) == (base, 2 - base)
            await store.hand_back([delivery.entry], [])

    async def test_a_bell_in_another_partition_begins_no_turn_that_gets_lost(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        for number in scenes.everywhere(store):
            await store_factory.xadd_ready(number, {b"i": b"one"})
        completed = await store.complete([scenes.ended(lease)], [None], 100, scenes.everywhere(store))
        deliveries = [*completed.deliveries, *await store.checkout(completed.entries, [None] * len(completed.entries))]
        heads = ["h1"]
        for number, delivery in enumerate(deliveries):
            turn = scenes.turn(delivery, head := f"t{number}", scenes.raised())
            if delivery.status is not None and await scenes.outcome(store, turn) is Outcome.ACCEPTED:
                heads.append(head)
        assert [event.commit for event in await store.history("one")] == heads

    async def test_the_next_turn_is_received_in_the_same_step(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        await store.start(scenes.request("two"))
        end = scenes.ended(lease)
        completed = await store.complete([end], [Position("x1", 1, "h1")], 10, scenes.everywhere(store))
        (delivery,) = completed.deliveries
        assert (delivery.entry.instance, delivery.base, delivery.events) == ("one", 1, ())
        assert scenes.said(delivery) == [scenes.result(lease)]
        assert [entry.instance for entry in completed.entries] == ["two"]
        assert sorted(entry.instance for entry in (await store.recover()).entries) == ["one", "two"]
        await scenes.accept(store, scenes.turn(delivery, "h2", scenes.raised()))

    async def test_a_position_that_is_not_true_gets_everything(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        end = scenes.ended(lease)
        completed = await store.complete([end], [Position("x1", 1, "other")], 10, scenes.everywhere(store))
        (delivery,) = completed.deliveries
        assert (delivery.base, [event.commit for event in delivery.events]) == (0, ["h1"])

    async def test_only_so_many_entries_are_received(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        for n in range(5):
            await store.start(scenes.request(f"i-{n}"))
        end = scenes.ended(lease)
        completed = await store.complete([end], [None], 2, scenes.everywhere(store))
        assert len(completed.deliveries) + len(completed.entries) == 2
