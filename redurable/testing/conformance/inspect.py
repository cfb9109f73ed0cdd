"""The read side."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from redurable.core.delivery import Outgoing
from redurable.core.events import ExecutionCompleted, ExecutionStarted
from redurable.core.messages import StartExecution
from redurable.core.values import Parent, RuntimeStatus
from redurable.store.inspect import Announcement
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory


class TestInspect:
    async def test_there_may_be_no_such_instance(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        assert await store.get("nobody") is None
        assert await store.history("nobody") == []
        assert await store.executions("nobody") == []

    async def test_a_pending_instance(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        parent = Parent("mother", "m1", 4)
        tags, memo = {"tenant": "acme"}, Raw(b'{"deal":7}')
        start = StartExecution(name="Demo", execution="x1", parent=parent, tags=tags, memo=memo)
        await store.send([Outgoing("one", start), Outgoing("one", scenes.event())])
        snapshot = await store.get("one")
        assert snapshot is not None
        assert (snapshot.instance, snapshot.name, snapshot.execution, snapshot.number) == ("one", "Demo", "x1", 1)
        assert (snapshot.status, snapshot.start) == (RuntimeStatus.PENDING, start)
        assert (snapshot.parent, snapshot.tags, snapshot.memo) == (parent, tags, memo)
        assert (snapshot.first, snapshot.last, snapshot.length, snapshot.unread) == (None, None, 0, 1)
        assert (snapshot.custom_status, snapshot.quarantined) == (None, None)
        assert snapshot.created_at == snapshot.updated_at
        assert abs(snapshot.created_at - (await store.upcoming([0], 0, 1)).now) < 60_000

    async def test_a_finished_instance(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        await store_factory.advance(2)
        parent, memo = Parent("mother", "m1", 4), Raw(b'{"deal":7}')
        first = ExecutionStarted(at=1, name="Demo", execution="x1", parent=parent, tags={"a": "b"}, memo=memo)
        end = ExecutionCompleted(at=2, result=Raw(b'"done"'), commit="h1")
        commit = scenes.turn(delivery, "h1", status=RuntimeStatus.COMPLETED)
        await scenes.accept(store, msgspec.structs.replace(commit, events=(first, end)))
        snapshot = await store.get("one")
        assert snapshot is not None
        assert (snapshot.status, snapshot.start, snapshot.first, snapshot.last) == (
            RuntimeStatus.COMPLETED,
            None,
            first,
            end,
        )
        assert (snapshot.parent, snapshot.tags, snapshot.memo) == (parent, {"a": "b"}, memo)
        assert snapshot.updated_at > snapshot.created_at

    async def test_a_history_comes_in_pages(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        commit = scenes.turn(await scenes.begin(store), "h1", *[scenes.raised(f"E{n}") for n in range(9)])
        await scenes.accept(store, commit)
        assert await store.history("one", start=0, count=4) == list(commit.events[:4])
        assert await store.history("one", "x1", 4, 4) == list(commit.events[4:8])
        assert await store.history("one", "x1", 8) == list(commit.events[8:])
        assert await store.history("one", "x1", 10) == []
        assert await store.history("one", "x0") == []

    async def test_any_id_is_taken_literally(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        for instance in ("a:b", "{one}", "ünï cødé", "i:one", '"quoted"', "x" * 256):
            await scenes.running(store, instance)
            snapshot = await store.get(instance)
            assert snapshot is not None
            assert (snapshot.instance, snapshot.status) == (instance, RuntimeStatus.RUNNING)

    async def test_every_mailbox_has_a_name_of_its_own(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        instances = ("a:b", "a", "b", "one", "ünï cødé")
        names = [one.mailbox_key(instance) for instance in instances]
        assert len(set(names)) == len(instances)
        assert names == [two.mailbox_key(instance) for instance in instances]

    async def test_says_who_has_the_mail(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        assert await two.announcement("one") is None
        await scenes.running(one)
        assert await two.announcement("one") is None
        await scenes.send(one, "one", scenes.event())
        assert await two.announcement("one") == Announcement()
        await scenes.receive(one)
        await store_factory.advance(20)
        held = await two.announcement("one")
        assert held is not None
        assert (held.holder, held.deliveries) == ("w1", 1)
        assert held.idle_ms >= 20


class TestFeed:
    async def test_follows_the_ends_of_executions(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        names = [f"i-{n}" for n in range(6)]
        before = {number: await store.feed_position(number) for number in scenes.everywhere(store)}
        for name in names:
            await scenes.finished(store, name)
        changes = await store.feed(before, 0)
        assert sorted(change.instance for _, change in changes) == names
        assert all(number == scenes.partition(store, change.instance) for number, change in changes)
        assert {change.status for _, change in changes} == {RuntimeStatus.COMPLETED}
        newest = {number: await store.feed_position(number) for number in scenes.everywhere(store)}
        assert await store.feed(newest, 0) == []

    async def test_waits_for_the_next_end(self, store_factory: StoreFactory) -> None:
        client, worker = await store_factory.store("c1"), await store_factory.store("w1")
        after = {number: await client.feed_position(number) for number in scenes.everywhere(client)}
        changes, _ = await scenes.together(lambda: client.feed(after, 5_000), lambda: scenes.finished(worker))
        assert [change.instance for _, change in changes] == ["one"]

    async def test_does_not_wait_for_ever(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("c1")
        after = {0: await store.feed_position(0)}
        assert await scenes.together(lambda: store.feed(after, 20)) == [[]]
