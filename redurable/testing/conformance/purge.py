"""Deleting what is not needed any more."""

from __future__ import annotations

from msgspec import Raw

from redurable.core.events import ExecutionCompleted
from redurable.core.values import RuntimeStatus
from redurable.store.port import SendOutcome
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory


class TestPurge:
    async def test_deletes_only_what_has_finished(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        assert await store.purge("one") == "missing"
        delivery = await scenes.begin(store)
        assert await store.purge("one") == "running"
        end = ExecutionCompleted(at=2)
        await scenes.accept(store, scenes.turn(delivery, "h1", end, status=RuntimeStatus.COMPLETED))
        assert await store.purge("one") == "purged"
        assert await store.purge("one") == "missing"

    async def test_leaves_nothing_behind(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        first = scenes.turn(delivery, "h1", custom_status=Raw(b"1"), next=scenes.message("x2"))
        await scenes.accept(store, first)
        second = scenes.turn(await scenes.take(store), "h2", ExecutionCompleted(at=2), status=RuntimeStatus.COMPLETED)
        await scenes.accept(store, second)
        assert len(await store.history("one", "x1")) == 1
        assert await store.purge("one") == "purged"
        assert await store.get("one") is None
        assert await store.executions("one") == []
        assert await store.history("one", "x1") == []
        assert await store.history("one", "x2") == []
        await scenes.running(store)
        snapshot = await store.get("one")
        assert snapshot is not None
        assert (snapshot.custom_status, snapshot.number, snapshot.length) == (None, 1, 1)
        assert await store.executions("one") == ["x1"]

    async def test_late_results_do_not_come_back_to_life(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        await store.purge("one")
        (lease,) = await scenes.with_tasks(store, scenes.task("one"), instance="two")
        assert (await store.complete([scenes.ended(lease)], [None])).accepted == (True,)
        assert await scenes.send(store, "one", scenes.result(lease)) == [SendOutcome.MISSING]
        assert await store.get("one") is None
        assert await scenes.receive(store) == []
        assert scenes.said(await scenes.begin(store)) == []
