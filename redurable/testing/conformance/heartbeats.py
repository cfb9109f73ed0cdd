"""Who held a task before, and what it said last."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from redurable.core.values import ABSENT
from redurable.store.port import Lost, TaskEnd, TaskLease
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory

FIRST = Raw(b'{"line":1}')
SECOND = Raw(b'{"line":2,"big":12345678901234567890,"none":[]}')


class TestHeartbeats:
    async def test_the_last_details_and_their_holder_come_with_a_lease_that_ran_out(
        self, store_factory: StoreFactory
    ) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        told, silent = await scenes.with_tasks(one, scenes.task(), scenes.task(seq=2))
        assert await one.renew([], [_with(told, FIRST), silent]) == Lost()
        assert await one.renew([], [_with(told, SECOND), silent]) == Lost()
        assert await one.renew([], [told, silent]) == Lost()
        taken = sorted((await scenes.take_over(store_factory, two)).tasks, key=lambda lease: lease.task.seq)
        assert [(lease.holder, lease.heartbeat) for lease in taken] == [("w1", SECOND), ("w1", ABSENT)]
        again = (await scenes.take_over(store_factory, two)).tasks
        assert {lease.holder for lease in again} == {"w2"}

    async def test_details_of_a_lease_that_is_lost_are_not_stored(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        await one.renew([], [_with(lease, FIRST)])
        await scenes.take_over(store_factory, two)
        late = _with(lease, SECOND)
        assert await one.renew([], [late]) == Lost((), (late,))
        (again,) = (await scenes.take_over(store_factory, one)).tasks
        assert (again.holder, again.heartbeat) == ("w2", FIRST)

    async def test_details_go_with_the_end_of_the_attempt(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        await one.renew([], [_with(lease, FIRST)])
        retry = msgspec.structs.replace(lease.task, attempt=2, heartbeat=FIRST)
        await one.complete([TaskEnd(_with(lease, FIRST), retry=retry)], [None])
        (second,) = await one.receive_tasks(scenes.demand(), 0)
        assert (second.task.heartbeat, second.heartbeat) == (FIRST, ABSENT)
        (taken,) = (await scenes.take_over(store_factory, two)).tasks
        assert (taken.task, taken.heartbeat) == (retry, ABSENT)

    async def test_an_end_that_comes_too_late_takes_nothing_along(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        (taken,) = (await scenes.take_over(store_factory, two)).tasks
        await two.complete([TaskEnd(taken, retry=msgspec.structs.replace(lease.task, attempt=2))], [None])
        (second,) = await two.receive_tasks(scenes.demand(), 0)
        await two.renew([], [_with(second, SECOND)])
        late = TaskEnd(_with(lease, FIRST), message=scenes.result(lease))
        assert (await one.complete([late], [None])).accepted == (False,)
        (again,) = (await scenes.take_over(store_factory, one)).tasks
        assert (again.task.attempt, again.heartbeat) == (2, SECOND)

    async def test_who_gives_a_task_back_leaves_its_details_in_it(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        told, silent = await scenes.with_tasks(one, scenes.task(), scenes.task(seq=2))
        await one.renew([], [_with(told, FIRST)])
        await one.hand_back([], [_with(told, SECOND), silent])
        leases = sorted(await two.receive_tasks(scenes.demand(), 0), key=lambda lease: lease.task.seq)
        assert [lease.task for lease in leases] == [
            msgspec.structs.replace(told.task, heartbeat=SECOND),
            silent.task,
        ]
        assert [taken.heartbeat for taken in (await scenes.take_over(store_factory, one)).tasks] == [ABSENT, ABSENT]

    async def test_a_lease_says_since_when_its_task_was_in_the_queue(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        before = (await one.upcoming([0], 0, 1)).now
        (lease,) = await scenes.with_tasks(one, scenes.task())
        after = (await one.upcoming([0], 0, 1)).now
        assert before <= lease.queued_at <= after
        (taken,) = (await scenes.take_over(store_factory, two)).tasks
        assert taken.queued_at == lease.queued_at


def _with(lease: TaskLease, details: Raw) -> TaskLease:
    return msgspec.structs.replace(lease, heartbeat=details)
