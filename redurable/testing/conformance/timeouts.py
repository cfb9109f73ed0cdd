"""Durable timeouts of activities: the timers that the store makes of them."""

from __future__ import annotations

import msgspec

from redurable.core.delivery import Timer
from redurable.core.limits import GRACE_MS, NO_END, not_begun
from redurable.core.messages import ActivityFailure
from redurable.core.values import ActivityOptions, Attempt, Ending, Task, Timeouts
from redurable.store.port import Hub, TaskEnd
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory

HOUR_MS = 3_600_000


class TestScheduleToClose:
    async def test_the_instance_is_told_when_nobody_else_has(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (timer,) = (await scenes.running(store, tasks=(_limited(schedule_to_close=5),))).timers
        assert (timer.due, timer.partition) == (1_005 + GRACE_MS, scenes.partition(store, "one"))
        assert (await store.upcoming(scenes.everywhere(store), 0, 10)).timers == (timer,)
        assert (await store.fire([timer])).fired == 1
        assert scenes.said(await scenes.take(store)) == [ActivityFailure(execution="x1", seq=1, failure=NO_END)]
        assert (await store.fire([timer])).fired == 0

    async def test_it_counts_from_when_the_call_was_scheduled(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        now = (await store.upcoming([0], 0, 1)).now
        task = msgspec.structs.replace(_limited(schedule_to_close=HOUR_MS), scheduled_at=now)
        (timer,) = (await scenes.running(store, tasks=(task,))).timers
        assert timer.due == now + HOUR_MS + GRACE_MS
        assert (await store.fire([timer])).early == (timer,)

    async def test_a_closed_call_is_not_told(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        tasks = (_limited(schedule_to_close=5), _limited(2, schedule_to_close=5))
        timers = (await scenes.running(store, tasks=tasks, timers=(Timer(3, 1),))).timers
        await _next_turn(store, closed_calls=(1,))
        assert (await store.fire(timers)).fired == 2
        messages = scenes.said(await scenes.take(store))
        assert sorted(getattr(message, "seq", 0) for message in messages) == [2, 3]

    async def test_an_execution_that_is_gone_hears_nothing(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        timers = (await scenes.running(store, tasks=(_limited(schedule_to_close=5),))).timers
        await _next_turn(store, next=scenes.message("x2"))
        assert (await store.fire(timers)).fired == 1
        assert scenes.said(await scenes.take(store)) == []


class TestScheduleToStart:
    async def test_the_instance_is_told_while_nobody_has_received_the_task(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        task = _limited(schedule_to_start=1)
        before = (await store.upcoming([0], 0, 1)).now
        (timer,) = (await scenes.running(store, tasks=(task,))).timers
        assert timer.due > before
        await store_factory.advance(2)
        assert await scenes.fire(store) == 1
        assert scenes.said(await scenes.take(store)) == [not_begun(task)]
        (lease,) = await store.receive_tasks(scenes.demand(), 0)
        assert lease.task == task

    async def test_a_received_task_has_begun_as_far_as_the_store_knows(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, _limited(schedule_to_start=1))
        await store_factory.advance(2)
        assert await scenes.fire(store) == 1
        assert await scenes.receive(store) == []
        assert (await store.complete([scenes.ended(lease)], [None])).accepted == (True,)

    async def test_only_tasks_behind_those_that_were_received_are_late(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        tasks = tuple(_limited(seq, schedule_to_start=1) for seq in (1, 2, 3))
        await scenes.running(store, tasks=tasks)
        assert len(await store.receive_tasks(scenes.demand(1), 0)) == 1
        await store_factory.advance(2)
        assert await scenes.fire(store) == 3
        assert scenes.said(await scenes.take(store)) == [not_begun(task) for task in tasks[1:]]

    async def test_a_closed_call_is_not_told(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        timers = (await scenes.running(store, tasks=(_limited(schedule_to_start=1, schedule_to_close=1),))).timers
        assert len(timers) == 2
        await _next_turn(store, closed_calls=(1,))
        await store_factory.advance(2)
        assert await scenes.fire(store) == 0
        assert (await store.fire(timers)).fired == 0

    async def test_the_wait_of_a_retry_begins_when_it_is_back(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, _limited(schedule_to_start=HOUR_MS))
        log = (Attempt(1, Ending.CRASHED, "w1", 1, 2),)
        retry = msgspec.structs.replace(lease.task, attempt=2, log=log)
        (back,) = (await store.complete([TaskEnd(lease, retry=retry, delay_ms=1)], [None])).timers
        await store_factory.advance(2)
        assert (await store.fire([back])).fired == 1
        now = (await store.upcoming([0], 0, 1)).now
        (timer,) = (await store.upcoming(scenes.everywhere(store), 2 * HOUR_MS, 10)).timers
        assert back.due + HOUR_MS <= timer.due <= now + HOUR_MS

    async def test_a_retry_that_nobody_receives_is_late_with_all_its_attempts(
        self, store_factory: StoreFactory
    ) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, _limited(schedule_to_start=1))
        log = (Attempt(1, Ending.CRASHED, "w1", 1, 2),)
        retry = msgspec.structs.replace(lease.task, attempt=2, log=log)
        await store.complete([TaskEnd(lease, retry=retry, delay_ms=1)], [None])
        for _ in range(2):
            await store_factory.advance(2)
            await scenes.fire(store)
        (message,) = scenes.said(await scenes.take(store))
        assert isinstance(message, ActivityFailure)
        assert message == not_begun(retry)
        assert (message.failure.type, message.failure.attempts, message.log) == ("ScheduleToStartTimeout", 1, log)

    async def test_a_task_that_nobody_could_begin_goes_on_waiting(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, _limited(schedule_to_start=HOUR_MS))
        waiting = msgspec.structs.replace(lease.task, waiting_since=1_000)
        await store.complete([TaskEnd(lease, retry=waiting, delay_ms=1)], [None])
        await store_factory.advance(2)
        assert await scenes.fire(store) == 1
        (timer,) = (await store.upcoming(scenes.everywhere(store), 0, 10)).timers
        assert timer.due == 1_000 + HOUR_MS
        assert (await store.fire([timer])).fired == 1
        assert scenes.said(await scenes.take(store)) == [not_begun(waiting)]

    async def test_a_task_that_is_handed_back_waits_anew(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        leases = await scenes.with_tasks(store, _limited(schedule_to_start=1))
        (old,) = (await store.upcoming(scenes.everywhere(store), HOUR_MS, 10)).timers
        await store_factory.advance(2)
        await store.hand_back([], leases)
        (timer,) = (await store.upcoming(scenes.everywhere(store), HOUR_MS, 10)).timers
        assert timer.due > old.due
        await store_factory.advance(2)
        assert (await store.fire([timer])).fired == 1
        assert scenes.said(await scenes.take(store)) == [not_begun(leases[0].task)]


def _limited(seq: int = 1, **timeouts: int) -> Task:
    options = ActivityOptions(timeouts=Timeouts(**timeouts))
    return msgspec.structs.replace(scenes.task(seq=seq), options=options, scheduled_at=1_000)


async def _next_turn(store: Hub, **fields: object) -> None:
    await scenes.send(store, "one", scenes.event())
    await scenes.accept(store, scenes.turn(await scenes.take(store), "h2", scenes.raised(), **fields))
