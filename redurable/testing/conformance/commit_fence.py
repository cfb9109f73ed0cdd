"""Commits: what they make true, and the fence that keeps a turn from counting twice."""

from __future__ import annotations

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from redurable.core.delivery import Outcome, Park, Receipt
from redurable.core.events import ExecutionCompleted
from redurable.core.values import RuntimeStatus
from redurable.store.port import Committed, Reclaimed, SendOutcome
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory


class TestCommit:
    async def test_makes_a_turn_true(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        before = await scenes.begin(store)
        commit = scenes.turn(before, "h1", scenes.raised(), custom_status=Raw(b'{"step": 1}'))
        await scenes.accept(store, commit)
        snapshot = await store.get("one")
        assert snapshot is not None
        assert (snapshot.status, snapshot.length, snapshot.unread, snapshot.start) == (
            RuntimeStatus.RUNNING,
            2,
            0,
            None,
        )
        assert (snapshot.first, snapshot.last) == commit.events
        assert snapshot.custom_status == Raw(b'{"step": 1}')
        assert tuple(await store.history("one")) == commit.events
        assert await scenes.receive(store) == []
        assert await store.recover() == Reclaimed()

    async def test_a_repeated_commit_is_recognised(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        commit = scenes.turn(await scenes.begin(store), "h1", tasks=(scenes.task(),))
        await scenes.accept(store, commit)
        assert await scenes.outcome(store, commit) is Outcome.ALREADY_APPLIED
        assert len(await store.history("one")) == 1
        assert len(await store.receive_tasks(scenes.demand(), 0)) == 1

    async def test_a_commit_from_an_old_head_changes_nothing(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        first = await scenes.begin(one)
        second = await scenes.checkout(two, first.entry)
        await scenes.accept(one, scenes.turn(first, "h1"))
        late = scenes.turn(second, "h2", scenes.raised(), tasks=(scenes.task(),), status=RuntimeStatus.FAILED)
        assert await scenes.outcome(two, late) is Outcome.FENCED
        snapshot = await two.get("one")
        assert snapshot is not None
        assert (snapshot.status, snapshot.length) == (RuntimeStatus.RUNNING, 1)
        assert await two.receive_tasks(scenes.demand(), 0) == []

    async def test_a_fenced_commit_keeps_its_entry(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        stale = await scenes.begin(one)
        await scenes.accept(two, scenes.turn(await scenes.checkout(two, stale.entry), "h1"))
        await scenes.send(one, "one", scenes.event())
        (entry,) = await scenes.receive(one)
        late = msgspec.structs.replace(scenes.turn(stale, "h2"), entry=entry)
        assert await scenes.outcome(one, late) is Outcome.FENCED
        assert [held.id for held in (await one.recover()).entries] == [entry.id]
        await scenes.accept(one, scenes.turn(await scenes.checkout(one, entry), "h3"))

    async def test_a_turn_of_an_instance_that_had_the_id_before_is_fenced(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        stale = await scenes.begin(one, execution="x1")
        end = scenes.turn(stale, "end", ExecutionCompleted(at=2), status=RuntimeStatus.COMPLETED)
        await scenes.accept(two, end)
        assert await two.purge("one") == "purged"
        delivery = await scenes.begin(two, execution="x2")
        assert await scenes.outcome(one, scenes.turn(stale, "h1", scenes.raised())) is Outcome.FENCED
        assert await scenes.outcome(one, scenes.release(stale, "h2")) is Outcome.FENCED
        assert await one.history("one") == []
        await scenes.accept(two, scenes.turn(delivery, "h3"))

    async def test_each_turn_of_a_batch_stands_alone(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        for n in range(6):
            await store.start(scenes.request(f"i-{n}"))
        deliveries = await store.checkout(await scenes.receive(store), [None] * 6)
        commits = [scenes.turn(delivery, f"h{n}") for n, delivery in enumerate(deliveries)]
        await scenes.accept(store, scenes.turn(deliveries[2], "elsewhere"))
        committed = await store.commit(commits)
        accepted, fenced = Receipt(Outcome.ACCEPTED), Receipt(Outcome.FENCED)
        assert committed.receipts == (accepted, accepted, fenced, accepted, accepted, accepted)
        for n, delivery in enumerate(deliveries):
            assert [event.commit for event in await store.history(delivery.entry.instance)] == [
                "elsewhere" if n == 2 else f"h{n}"
            ]

    async def test_of_two_turns_from_one_head_one_counts(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        committed = await store.commit([scenes.turn(delivery, "h1"), scenes.turn(delivery, "h2")])
        assert [receipt.outcome for receipt in committed.receipts] == [Outcome.ACCEPTED, Outcome.FENCED]
        assert [event.commit for event in await store.history("one")] == ["h1"]

    async def test_simultaneous_commits_from_one_head_one_counts(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        delivery = await scenes.begin(one)
        outcomes = await scenes.together(
            lambda: scenes.outcome(one, scenes.turn(delivery, "h1")),
            lambda: scenes.outcome(two, scenes.turn(delivery, "h2")),
        )
        assert sorted(outcomes) == [Outcome.ACCEPTED, Outcome.FENCED]

    async def test_the_fence_does_not_ask_who_holds_the_entry(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        delivery = await scenes.begin(one)
        taken = await scenes.take_over(store_factory, two)
        assert len(taken.entries) == 1
        await scenes.accept(one, scenes.turn(delivery, "h1"))
        assert (await two.renew(taken.entries, [])).entries == taken.entries

    async def test_mail_that_came_during_the_turn_stays_and_rings(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await scenes.send(store, "one", scenes.event("A"))
        delivery = await scenes.take(store)
        await scenes.send(store, "one", scenes.event("B"))
        assert await scenes.receive(store) == []
        await scenes.accept(store, scenes.turn(delivery, "h2", scenes.raised("A")))
        following = await scenes.take(store)
        assert scenes.said(following) == [scenes.event("B")]
        assert following.announced == following.entry.id

    async def test_a_turn_on_a_false_ring_leaves_the_bell_alone(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.start(scenes.request())
        await store_factory.xadd_ready(scenes.partition(store, "one"), {b"i": b"one"})
        bell, false = await scenes.receive(store)
        delivery = await scenes.checkout(store, false)
        await scenes.send(store, "one", scenes.event())
        await scenes.accept(store, scenes.turn(delivery, "h1"))
        assert await scenes.receive(store) == []
        following = await scenes.checkout(store, bell)
        assert (following.announced, scenes.said(following)) == (bell.id, [scenes.event()])
        await scenes.accept(store, scenes.turn(following, "h2", scenes.raised()))

    async def test_a_prefix_is_consumed(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await scenes.send(store, "one", *[scenes.event(f"E{n}") for n in range(5)])
        delivery = await scenes.take(store)
        await scenes.accept(store, scenes.turn(delivery, "h2", scenes.raised(), consumed=delivery.mails[2].id))
        assert scenes.said(await scenes.take(store)) == [scenes.event("E3"), scenes.event("E4")]

    async def test_an_end_is_told(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        number = scenes.partition(store, "one")
        before = await store.feed_position(number)
        await scenes.finished(store)
        ((at, change),) = await store.feed({number: before}, 0)
        assert (at, change.instance, change.execution, change.status) == (number, "one", "x1", RuntimeStatus.COMPLETED)
        assert change.id == await store.feed_position(number)
        assert await scenes.send(store, "one", scenes.event()) == [SendOutcome.FINISHED]

    async def test_mail_left_by_an_end_is_read_out(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        await scenes.send(store, "one", scenes.event())
        await scenes.accept(
            store, scenes.turn(delivery, "end", ExecutionCompleted(at=2), status=RuntimeStatus.COMPLETED)
        )
        left = await scenes.take(store)
        assert (left.status, scenes.said(left)) == (RuntimeStatus.COMPLETED, [scenes.event()])
        await scenes.accept(store, scenes.turn(left, "after", status=None))
        after = await store.get("one")
        assert after is not None
        assert (after.status, after.unread, after.length) == (RuntimeStatus.COMPLETED, 0, 2)
        assert await scenes.receive(store) == []

    async def test_tasks_are_received_in_the_same_step(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        tasks = tuple(scenes.task(seq=seq) for seq in range(1, 6))
        delivery = await scenes.begin(store)
        committed = await scenes.accept(store, scenes.turn(delivery, "h1", tasks=tasks), scenes.demand(3))
        assert [lease.task for lease in committed.tasks] == list(tasks[:3])
        rest = await store.receive_tasks(scenes.demand(10), 0)
        assert [lease.task for lease in rest] == list(tasks[3:])

    async def test_an_empty_batch_is_nothing(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        assert await store.commit([]) == Committed(())


class TestRelease:
    async def test_gives_the_entry_up(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await store_factory.xadd_ready(scenes.partition(store, "one"), {b"i": b"one"})
        delivery = await scenes.take(store)
        assert (delivery.announced, delivery.mails) == ("", ())
        await scenes.accept(store, scenes.release(delivery, "h2"))
        assert (await store.recover()).entries == ()
        assert await scenes.outcome(store, scenes.turn(delivery, "h3")) is Outcome.FENCED
        await scenes.send(store, "one", scenes.event())
        assert (await scenes.take(store)).head == "h2"

    async def test_a_commit_that_only_names_it_is_no_turn(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        await scenes.accept(store, replace(scenes.release(delivery, "h1"), park=Park("unknown", "", None)))
        await store_factory.xadd_ready(scenes.partition(store, "one"), {b"i": b"one"})
        commit = replace(scenes.release(await scenes.take(store), "h2"), name="Demo")
        await scenes.accept(store, commit)
        assert (await store.counts()).quarantined == 1
        assert await scenes.receive(store) == []

    async def test_rings_for_mail_that_came_meanwhile(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await store_factory.xadd_ready(scenes.partition(store, "one"), {b"i": b"one"})
        delivery = await scenes.take(store)
        await store_factory.xadd_mailbox("one", {b"event": b"Foreign"})
        await scenes.accept(store, scenes.release(delivery, "h2"))
        assert len((await scenes.take(store)).mails) == 1

    async def test_of_a_false_ring_leaves_the_bell_and_the_head(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.start(scenes.request())
        await store_factory.xadd_ready(scenes.partition(store, "one"), {b"i": b"one"})
        bell, false = await scenes.receive(store)
        ringing, stale = await store.checkout([bell, false], [None, None])
        await scenes.accept(store, scenes.release(stale, "h9"))
        assert [held.id for held in (await store.recover()).entries] == [bell.id]
        await scenes.accept(store, scenes.turn(ringing, "h1"))

    async def test_of_an_instance_that_was_purged(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        await store_factory.xadd_ready(scenes.partition(store, "one"), {b"i": b"one"})
        delivery = await scenes.take(store)
        assert await store.purge("one") == "purged"
        await scenes.accept(store, scenes.turn(delivery, "h9", scenes.raised()))
        assert await store.get("one") is None
        assert await store.history("one") == []
        assert (await store.recover()).entries == ()
