"""Starting instances, and sending them messages."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from redurable.core.delivery import Outgoing
from redurable.core.messages import ActivityResult, Suspend, Terminate
from redurable.core.values import RuntimeStatus
from redurable.errors import StoreRefused
from redurable.store.port import OnConflict, SendOutcome, StartOutcome
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import EVENT, EXHAUSTED, StoreFactory

WEEK_MS = 7 * 24 * 3600 * 1000


class TestStart:
    async def test_creates_a_pending_instance_and_announces_it_once(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        assert (delivery.status, delivery.name, delivery.execution) == (RuntimeStatus.PENDING, "Demo", "x1")
        assert delivery.start == scenes.message()
        assert (delivery.events, delivery.mails, delivery.base) == ((), (), 0)
        assert delivery.announced == delivery.entry.id
        assert (delivery.parks, delivery.unreadable, delivery.entry.again) == (0, "", False)

    async def test_a_repeated_request_starts_nothing_new(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        for on_conflict in ("fail", "use-existing", "replace-finished"):
            again = scenes.request(on_conflict=on_conflict)
            assert await store.start(again) is StartOutcome.STARTED
        assert await scenes.receive(store) == []

    @pytest.mark.parametrize(
        ("on_conflict", "outcome"),
        [
            ("fail", StartOutcome.REFUSED),
            ("use-existing", StartOutcome.EXISTING),
            ("replace-finished", StartOutcome.REFUSED),
        ],
    )
    async def test_a_taken_id_is_answered_as_asked(
        self, store_factory: StoreFactory, on_conflict: OnConflict, outcome: StartOutcome
    ) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        assert await store.start(scenes.request(execution="x2", on_conflict=on_conflict)) is outcome
        snapshot = await store.get("one")
        assert snapshot is not None
        assert (snapshot.execution, snapshot.start) == ("x1", None)
        assert await scenes.receive(store) == []

    async def test_a_finished_instance_can_be_replaced(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        assert await store.start(scenes.request(execution="x2")) is StartOutcome.REFUSED
        replace = scenes.request(execution="x2", on_conflict="replace-finished")
        assert await store.start(replace) is StartOutcome.STARTED
        delivery = await scenes.take(store)
        assert (delivery.execution, delivery.start, delivery.events) == ("x2", scenes.message("x2"), ())
        assert await store.executions("one") == ["x2"]

    async def test_a_delayed_start_waits_for_its_time(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.start(scenes.request(delay_ms=3_600_000))
        await store.start(scenes.request("two", delay_ms=1))
        await store_factory.advance(2)
        coming = (await store.upcoming(scenes.everywhere(store), 7_200_000, 10)).timers
        assert len(coming) == 2
        fired = await store.fire(coming)
        assert (fired.fired, fired.early) == (1, (coming[1],))
        delivery = await scenes.take(store)
        assert (delivery.entry.instance, delivery.start) == ("two", scenes.message())

    async def test_simultaneous_requests_start_one_execution(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        outcomes = await scenes.together(
            lambda: one.start(scenes.request(execution="x1")), lambda: two.start(scenes.request(execution="x2"))
        )
        assert sorted(outcomes) == [StartOutcome.REFUSED, StartOutcome.STARTED]
        winner = "x1" if outcomes[0] is StartOutcome.STARTED else "x2"
        assert (await scenes.take(one)).execution == winner


class TestSend:
    async def test_messages_arrive_in_order_behind_one_bell(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        sent = [scenes.event("A"), scenes.event("B"), Terminate(reason="enough")]
        assert await scenes.send(store, "one", *sent) == [SendOutcome.SENT] * 3
        assert scenes.said(await scenes.take(store)) == sent

    async def test_what_nobody_will_read_is_not_written(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await scenes.finished(store, "over")
        late = ActivityResult(execution="x0", seq=1)
        outcomes = await store.send(
            [
                Outgoing("nobody", Terminate()),
                Outgoing("over", scenes.event()),
                Outgoing("one", late),
                Outgoing("one", ActivityResult(execution="x1", seq=1)),
            ]
        )
        assert outcomes == [SendOutcome.MISSING, SendOutcome.FINISHED, SendOutcome.STALE, SendOutcome.SENT]
        assert len((await scenes.take(store)).mails) == 1
        over = await store.get("over")
        assert over is not None
        assert over.unread == 0

    async def test_events_wait_for_their_instance(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        assert await scenes.send(store, "one", scenes.event("A"), scenes.event("B")) == [SendOutcome.KEPT] * 2
        kept_ms = await store_factory.mailbox_ttl_ms("one")
        assert kept_ms is not None
        assert WEEK_MS - 60_000 < kept_ms <= WEEK_MS
        assert await scenes.receive(store) == []
        assert await store.get("one") is None
        delivery = await scenes.begin(store)
        assert delivery.start is not None
        assert scenes.said(delivery) == [scenes.event("A"), scenes.event("B")]
        assert await store_factory.mailbox_ttl_ms("one") is None

    async def test_an_unusable_mailbox_holds_up_no_other(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await scenes.running(store, "two")
        await store_factory.xadd_mailbox("one", EVENT, EXHAUSTED)
        with pytest.raises(StoreRefused, match="one"):
            await store.send([Outgoing("one", scenes.event("A")), Outgoing("two", scenes.event("B"))])
        delivery = await scenes.take(store)
        assert delivery.entry.instance == "two"
        assert scenes.said(delivery) == [scenes.event("B")]

    async def test_a_control_message_reaches_a_suspended_instance(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store, status=RuntimeStatus.SUSPENDED)
        assert await scenes.send(store, "one", Suspend()) == [SendOutcome.SENT]
        assert (await scenes.take(store)).status is RuntimeStatus.SUSPENDED


class TestChildren:
    async def test_a_child_starts_once(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        assert await scenes.send(store, "child", scenes.message(), scenes.message()) == [SendOutcome.SENT] * 2
        delivery = await scenes.take(store)
        assert (delivery.status, delivery.start) == (RuntimeStatus.PENDING, scenes.message())

    async def test_a_taken_child_id_is_told_to_the_parent(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store, "child", "x7")
        parent = scenes.elsewhere(store, "child")
        await scenes.running(store, parent)
        refusal = scenes.refusal("x1")
        child = Outgoing("child", scenes.message("x8"), (parent, refusal))
        assert await store.send([child]) == [SendOutcome.SENT]
        await scenes.drain(store)
        delivery = await scenes.take(store)
        assert (delivery.entry.instance, scenes.said(delivery)) == (parent, [refusal])
        taken = await store.get("child")
        assert taken is not None
        assert taken.execution == "x7"

    async def test_a_child_may_have_to_wait_for_its_time(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        now = (await store.upcoming(scenes.everywhere(store), 0, 1)).now
        hour = now + 3_600_000
        begins = {name: replace(scenes.message(name), not_before=at) for name, at in (("past", 1), ("soon", now + 20))}
        late, later = (replace(scenes.message(name), not_before=hour) for name in ("late", "later"))
        outbox = (*(Outgoing(name, start) for name, start in begins.items()), Outgoing("late", late))
        await scenes.running(store, outbox=outbox)
        await scenes.drain(store)
        assert await scenes.send(store, "later", later, later) == [SendOutcome.SENT] * 2
        await store_factory.advance(21)
        await scenes.fire(store)
        deliveries = await store.checkout(await scenes.receive(store), [None] * 2)
        assert {delivery.entry.instance: delivery.start for delivery in deliveries} == begins
        coming = (await store.upcoming(scenes.everywhere(store), 7_200_000, 10)).timers
        assert [timer.due for timer in coming] == [hour, hour]
        waiting = await store.get("late")
        assert waiting is not None
        assert (waiting.status, waiting.start) == (RuntimeStatus.PENDING, late)
