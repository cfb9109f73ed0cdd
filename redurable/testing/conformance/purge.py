"""Deleting what is not needed any more."""

from __future__ import annotations

from msgspec import Raw
from msgspec.structs import replace

from redurable.core.delivery import Park, TurnCommit
from redurable.core.events import ExecutionCompleted
from redurable.core.messages import Rewind, Rewound
from redurable.core.values import Parent, RuntimeStatus
from redurable.store.port import Hub, SendOutcome, StartOutcome
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import EVENT, StoreFactory

ASKED = Rewind(parent=Parent("mother", "m1", 1), heir="m2")


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


class TestAwaited:
    """A parent that was rewound waits for what has finished."""

    async def test_it_stays_until_it_has_heard_that(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        await scenes.finished(store, "two")
        assert await store.awaited(["one", "two", "nobody"]) == []
        await scenes.send(store, "one", ASKED)
        assert await store.awaited(["two", "one", "nobody"]) == ["one"]
        for execution in ("", "x1"):
            assert await store.purge("one", execution) == "awaited"
        delivery = await scenes.take(store)
        assert scenes.said(delivery) == [ASKED]
        assert await store.purge("one") == "awaited"
        await scenes.accept(store, scenes.turn(delivery, "h2", status=None))
        assert await store.awaited(["one"]) == []
        assert await store.purge("one") == "purged"

    async def test_what_another_execution_is_asked_does_not_matter(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        await scenes.send(store, "one", ASKED)
        assert await store.purge("one", "x0") == "missing"

    async def test_nobody_takes_its_place(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        await scenes.send(store, "one", ASKED)
        anew = scenes.request(execution="x2", on_conflict="replace-finished")
        assert await store.start(anew) is StartOutcome.REFUSED
        delivery = await scenes.take(store)
        await scenes.accept(store, scenes.turn(delivery, "h2", status=None))
        assert await store.start(anew) is StartOutcome.STARTED
        assert scenes.said(await scenes.take(store)) == []

    async def test_other_mail_is_no_reason(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        await store_factory.xadd_mailbox("one", EVENT)
        assert await store.awaited(["one"]) == []
        assert await store.purge("one") == "purged"

    async def test_one_that_ended_without_reading_it(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        await scenes.send(store, "one", ASKED)
        end = ExecutionCompleted(at=2)
        await scenes.accept(store, scenes.turn(delivery, "h1", end, status=RuntimeStatus.COMPLETED))
        assert await store.purge("one") == "awaited"
        assert scenes.said(await scenes.take(store)) == [ASKED]

    async def test_a_message_that_somebody_deleted_is_no_reason(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        await scenes.send(store, "one", ASKED)
        await store_factory.empty_mailbox("one")
        assert await store.awaited(["one"]) == []
        assert await store.purge("one") == "purged"

    async def test_one_that_cannot_hear_it_may_go_and_leaves_no_count(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _quarantined(store)
        counts = await store.counts()
        assert (counts.instances, counts.quarantined) == ({("Demo", RuntimeStatus.COMPLETED): 1}, 1)
        assert await store.awaited(["one"]) == ["one"]
        assert await store.purge("one") == "purged"
        counts = await store.counts()
        assert (counts.instances, counts.quarantined) == ({}, 0)
        assert await scenes.mend(store) == 0

    async def test_one_that_cannot_hear_it_may_be_replaced(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _quarantined(store)
        anew = scenes.request(execution="x2", on_conflict="replace-finished")
        assert await store.start(anew) is StartOutcome.STARTED
        counts = await store.counts()
        assert (counts.instances, counts.quarantined) == ({("Demo", RuntimeStatus.PENDING): 1}, 0)
        assert await scenes.mend(store) == 0

    async def test_one_that_hears_it_at_last_is_counted_as_what_it_is(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await _quarantined(store)
        again = await scenes.checkout(store, delivery.entry)
        start = replace(scenes.message("x2"), rewound=Rewound(previous="x1", kept=0, next_seq=2))
        await scenes.accept(store, scenes.turn(again, "h3", next=start))
        counts = await store.counts()
        assert (counts.instances, counts.quarantined) == ({("Demo", RuntimeStatus.RUNNING): 1}, 0)
        assert await store.purge("one") == "running"
        assert await scenes.mend(store) == 0


async def _quarantined(store: Hub) -> TurnCommit:
    """Instance `one` has finished, is asked to go on, and cannot be read."""
    await scenes.finished(store)
    await scenes.send(store, "one", ASKED)
    delivery = await scenes.take(store)
    park = Park("unreadable", "of a later release", 3_600_000)
    commit = TurnCommit(
        entry=delivery.entry, expected=delivery.head, head="h2", execution=delivery.execution, park=park
    )
    await scenes.accept(store, commit)
    return commit
