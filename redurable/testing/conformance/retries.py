"""Attempts that failed and are made again."""

from __future__ import annotations

import msgspec

from redurable.core.values import Task
from redurable.store.port import TaskEnd
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory


class TestRetries:
    async def test_without_delay_the_task_is_back_at_once(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task(queue="vip"))
        completed = await store.complete([TaskEnd(lease, retry=_second(lease.task))], [None])
        assert (completed.accepted, completed.timers) == ((True,), ())
        (again,) = await store.receive_tasks(scenes.demand(10, "vip"), 0)
        assert (again.task, again.again) == (_second(lease.task), False)
        assert await scenes.receive(store) == []

    async def test_with_delay_the_task_waits_for_its_time(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        first, second = await scenes.with_tasks(store, scenes.task(), scenes.task(seq=2))
        ends = [
            TaskEnd(first, retry=_second(first.task), delay_ms=3_600_000),
            TaskEnd(second, retry=_second(second.task), delay_ms=1),
        ]
        completed = await store.complete(ends, [None, None])
        assert completed.accepted == (True, True)
        assert await store.receive_tasks(scenes.demand(), 0) == []
        await store_factory.advance(2)
        coming = (await store.upcoming(scenes.everywhere(store), 7_200_000, 10)).timers
        assert set(completed.timers) == set(coming)
        fired = await store.fire(coming)
        assert (fired.fired, fired.early) == (1, (coming[1],))
        (again,) = await store.receive_tasks(scenes.demand(), 0)
        assert again.task == _second(second.task)

    async def test_a_retry_is_put_back_once(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        (timer,) = (await one.complete([TaskEnd(lease, retry=_second(lease.task), delay_ms=1)], [None])).timers
        await store_factory.advance(2)
        fired = await scenes.together(lambda: one.fire([timer]), lambda: two.fire([timer]))
        assert sorted(answer.fired for answer in fired) == [0, 1]
        assert len(await one.receive_tasks(scenes.demand(), 0)) == 1

    async def test_a_retry_that_comes_too_late_is_none(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        (again,) = (await scenes.take_over(store_factory, two)).tasks
        await two.complete([scenes.ended(again)], [None])
        late = await one.complete([TaskEnd(lease, retry=_second(lease.task))], [None])
        assert (late.accepted, late.timers) == ((False,), ())
        assert await one.receive_tasks(scenes.demand(), 0) == []


def _second(task: Task) -> Task:
    return msgspec.structs.replace(task, attempt=2)
