"""Trace contexts: a store hands them on, as it does with all that stands in a body."""

from __future__ import annotations

from msgspec.structs import replace

from redurable.core.delivery import Outgoing
from redurable.core.events import ExecutionContinuedAsNew
from redurable.core.values import Trace
from redurable.store.port import StartRequest, TaskEnd
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory

TRACE = Trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", 'rojo="1",é=2')


class TestTraces:
    async def test_a_start_and_an_event_arrive_with_theirs(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        message = replace(scenes.message(), trace=TRACE)
        await store.start(StartRequest("one", message))
        await scenes.send(store, "one", scenes.event(trace=TRACE))
        delivery = await scenes.take(store)
        assert (delivery.start, scenes.said(delivery)) == (message, [scenes.event(trace=TRACE)])

    async def test_a_task_keeps_it_over_all_attempts(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        task = replace(scenes.task(), trace=TRACE)
        (lease,) = await scenes.with_tasks(store, task)
        (again,) = (await scenes.take_over(store_factory, store)).tasks
        assert (lease.task, again.task) == (task, task)
        await store.complete([TaskEnd(again, retry=replace(task, attempt=2))], [None])
        (second,) = await store.receive_tasks(scenes.demand(), 0)
        assert second.task == replace(task, attempt=2)

    async def test_a_child_in_another_partition_gets_it(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        other, start = scenes.elsewhere(store, "one"), replace(scenes.message("x2"), trace=TRACE)
        await scenes.running(store, outbox=(Outgoing(other, start, ("one", scenes.refusal())),))
        await scenes.drain(store)
        assert (await scenes.take(store)).start == start

    async def test_the_next_execution_gets_it(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        following = replace(scenes.message("x2"), number=2, trace=replace(TRACE, link="00f067aa0ba902b7"))
        ended = ExecutionContinuedAsNew(at=2, next="x2")
        await scenes.accept(store, scenes.turn(await scenes.begin(store), "h1", ended, next=following))
        assert (await scenes.take(store)).start == following

    async def test_other_programs_may_give_one(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        given = {b"instance": b"one", b"traceparent": TRACE.traceparent.encode(), b"tracestate": b"a=1"}
        await store_factory.xadd_intake({b"start": b"Demo", b"id": b"s-1", **given})
        await store_factory.xadd_intake({b"event": b"Go", b"id": b"e-1", **given, b"traceparent": b"rubbish"})
        await store.route(10, 0)
        delivery = await scenes.take(store)
        assert delivery.start is not None
        assert delivery.start.trace == Trace(TRACE.traceparent, "a=1")
        assert scenes.said(delivery) == [scenes.event(id="e-1")]
