"""An instance goes on from an earlier place of its history: what a store keeps for it, and what reaches it."""

from __future__ import annotations

from msgspec.structs import replace

from redurable.core.delivery import Delivery, Entry, Kept, Outcome, Outgoing, Position, TurnCommit
from redurable.core.events import Event, ExecutionFailed, ExecutionRewound, ExecutionStarted
from redurable.core.messages import ActivityResult, Rewind, Rewound, StartExecution
from redurable.core.values import Failure, Parent, RuntimeStatus
from redurable.store.port import Hub, SendOutcome, StartOutcome
from redurable.store.queries import Query
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import EVENT, StoreFactory

NEXT = StartExecution(
    name="Demo", execution="x2", rewound=Rewound(previous="x1", kept=2, next_seq=7, mail=(scenes.event("Again"),))
)
FIRST = ExecutionStarted(at=1, name="Demo", execution="x2", origin="x1")
ASKED = Rewind(parent=Parent("mother", "m1", 3), heir="m2")


class TestRewind:
    async def test_a_failed_instance_runs_again_with_the_beginning_of_its_history(
        self, store_factory: StoreFactory
    ) -> None:
        store = await store_factory.store("w1")
        before = await _failed(store)
        await _rewind(store)
        snapshot = await store.get("one")
        assert snapshot is not None
        assert (snapshot.status, snapshot.execution, snapshot.length) == (RuntimeStatus.RUNNING, "x2", 2)
        assert await store.executions("one") == ["x1", "x2"]
        assert await store.history("one", "x1") == before
        assert await store.history("one") == await store.history("one", "x2") == [FIRST, before[1]]
        delivery = await scenes.take(store)
        assert (delivery.start, delivery.base, delivery.head) == (NEXT, 0, "h9")
        assert delivery.events == (FIRST, before[1])

    async def test_nothing_may_be_kept(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _failed(store)
        await _rewind(store, 0)
        delivery = await scenes.take(store)
        assert (delivery.start, delivery.events) == (NEXT, ())

    async def test_it_goes_on_as_any_other(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        before = await _failed(store)
        await _rewind(store)
        first = await _go_on(store, await scenes.take(store))
        assert await store.history("one") == [FIRST, before[1], *first.events]
        await scenes.send(store, "one", scenes.event())
        (entry,) = await scenes.receive(store)
        (delivery,) = await store.checkout([entry], [Position("x2", 3, "h10")])
        assert (delivery.start, delivery.base, delivery.events) == (None, 3, ())
        (delivery,) = await store.checkout([entry], [Position("x1", 2, "h2")])
        assert (delivery.base, len(delivery.events)) == (0, 3)

    async def test_it_waits_with_its_start_until_a_turn_is_taken(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _failed(store)
        await _rewind(store)
        delivery = await scenes.take(store)
        assert await scenes.send(store, "one", scenes.event()) == [SendOutcome.SENT]
        await scenes.accept(store, scenes.release(delivery, "h10"))
        again = await scenes.take(store)
        assert (again.start, scenes.said(again)) == (NEXT, [scenes.event()])

    async def test_the_sweep_finds_it(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _failed(store)
        await _rewind(store)
        delivery = await scenes.take(store)
        await store_factory.lose_ready(delivery.entry.partition, delivery.entry.id)
        assert await scenes.sweep(store) == 1
        await _go_on(store, await scenes.take(store))
        await store_factory.xadd_mailbox("one", EVENT)
        assert await scenes.sweep(store) == 1

    async def test_a_repeated_commit_is_recognised(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _failed(store)
        commit = await _rewind(store)
        assert await scenes.outcome(store, commit) is Outcome.ALREADY_APPLIED
        assert await store.executions("one") == ["x1", "x2"]

    async def test_a_turn_that_was_decided_before_is_fenced(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await scenes.send(store, "one", scenes.event())
        delivery = await scenes.take(store)
        await scenes.accept(store, _commit(await _look(store), 1))
        assert await scenes.outcome(store, scenes.turn(delivery, "h2", scenes.raised())) is Outcome.FENCED
        again = await scenes.checkout(store, delivery.entry)
        assert (again.start, scenes.said(again), again.announced) == (NEXT, [scenes.event()], delivery.entry.id)
        await _go_on(store, again)
        assert await scenes.receive(store) == []

    async def test_what_was_meant_for_the_execution_before_is_stale(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _failed(store)
        await _rewind(store)
        late = ActivityResult(execution="x1", seq=1)
        assert await scenes.send(store, "one", late) == [SendOutcome.STALE]
        assert await store.start(scenes.request(on_conflict="replace-finished")) is StartOutcome.STARTED

    async def test_it_may_happen_again_and_again(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _failed(store)
        await _rewind(store)
        delivery = await scenes.take(store)
        end = ExecutionFailed(at=4, failure=Failure("Oops", ""))
        mark = ExecutionRewound(at=3, execution="x2", previous="x1", next_seq=7)
        failed = replace(scenes.turn(delivery, "h10", status=RuntimeStatus.FAILED), events=(mark, end))
        await scenes.accept(store, failed)
        third = replace(NEXT, execution="x3")
        commit = replace(_commit(await _look(store), 3), next=third, head="h11")
        await scenes.accept(store, commit)
        assert await store.executions("one") == ["x1", "x2", "x3"]
        assert (await store.history("one"))[1:] == [*(await store.history("one", "x1"))[1:2], mark]
        assert len(await store.history("one", "x2")) == 4

    async def test_it_can_be_purged_when_it_has_finished_again(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _failed(store)
        await _rewind(store)
        assert await store.purge("one") == "running"
        await _go_on(store, await scenes.take(store), RuntimeStatus.COMPLETED)
        assert await store.purge("one") == "purged"
        assert [await store.history("one", name) for name in ("x1", "x2")] == [[], []]

    async def test_it_does_not_expire_before_it_has_finished_again(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        number, ages = scenes.partition(store, "one"), {RuntimeStatus.FAILED: 0, RuntimeStatus.COMPLETED: 0}
        await _failed(store)
        await store_factory.advance(2)
        assert [one.instance for one in await store.expired(number, ages, 10)] == ["one"]
        await _rewind(store)
        assert await store.expired(number, ages, 10) == []
        running = Query(statuses=(RuntimeStatus.RUNNING,))
        assert [found.instance for found in (await store.query(running, 10)).snapshots] == ["one"]
        assert (await store.counts()).instances == {("Demo", RuntimeStatus.RUNNING): 1}
        await _go_on(store, await scenes.take(store), RuntimeStatus.COMPLETED)
        await store_factory.advance(2)
        assert [one.status for one in await store.expired(number, ages, 10)] == [RuntimeStatus.COMPLETED]

    async def test_a_long_history_is_kept_whole(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        many = [scenes.raised(str(number)) for number in range(2_500)]
        await scenes.accept(store, scenes.turn(delivery, "h1", *many))
        await scenes.accept(store, _commit(await _look(store), 2_400))
        delivery = await scenes.take(store)
        assert delivery.events == (FIRST, *many[:2_399])


class TestRewindOfChildren:
    async def test_alone_a_rewind_reaches_what_has_finished(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        assert await scenes.send(store, "one", scenes.event(), ASKED) == [SendOutcome.FINISHED, SendOutcome.SENT]
        delivery = await scenes.take(store)
        assert (delivery.status, scenes.said(delivery)) == (RuntimeStatus.COMPLETED, [ASKED])
        assert len(delivery.events) == 2
        answer = Outgoing("mother", scenes.event("Answer"))
        commit = scenes.turn(delivery, "h2", status=None, outbox=(answer,))
        await scenes.accept(store, commit)
        assert await scenes.receive(store) == []
        snapshot = await store.get("one")
        assert snapshot is not None
        assert (snapshot.status, snapshot.unread) == (RuntimeStatus.COMPLETED, 0)

    async def test_one_whose_bell_is_lost_is_found(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.finished(store)
        await scenes.send(store, "one", ASKED)
        delivery = await scenes.take(store)
        assert await scenes.mend(store) == 0
        await store_factory.lose_ready(delivery.entry.partition, delivery.entry.id)
        assert await scenes.mend(store) == 1
        again = await scenes.take(store)
        assert scenes.said(again) == [ASKED]
        await scenes.accept(store, scenes.turn(again, "h2", status=None))
        assert await scenes.mend(store) == 0
        assert await scenes.receive(store) == []

    async def test_it_comes_through_the_outbox_behind_a_start_that_means_nothing(
        self, store_factory: StoreFactory
    ) -> None:
        store = await store_factory.store("w1")
        child = scenes.elsewhere(store, "one")
        await scenes.finished(store, child, "c1")
        start = Outgoing(child, scenes.message("c2"), ("one", scenes.refusal("x0")))
        await scenes.running(store, outbox=(start, Outgoing(child, ASKED)))
        await scenes.drain(store)
        assert scenes.said(await scenes.take(store)) == [ASKED]
        assert await store_factory.dead_letters() == []

    async def test_a_child_that_is_not_there_is_started(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        child = scenes.elsewhere(store, "one")
        await scenes.running(store, outbox=(Outgoing(child, scenes.message("c2")), Outgoing(child, ASKED)))
        await scenes.drain(store)
        delivery = await scenes.take(store)
        assert (delivery.execution, scenes.said(delivery)) == ("c2", [ASKED])

    async def test_without_an_instance_it_is_missing(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        assert await scenes.send(store, "one", ASKED) == [SendOutcome.MISSING]
        await scenes.drain(store)
        assert await store_factory.dead_letters() == []

    async def test_who_asks_one_that_was_purged_is_told_so(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        child, refusal = scenes.elsewhere(store, "one"), scenes.refusal("x1", 3)
        asked = Outgoing(child, ASKED, ("one", refusal))
        await scenes.running(store, outbox=(asked,))
        await scenes.drain(store)
        delivery = await scenes.take(store)
        assert (delivery.entry.instance, scenes.said(delivery)) == ("one", [refusal])
        await scenes.accept(store, scenes.turn(delivery, "h2"))
        assert await store.send([asked]) == [SendOutcome.MISSING]
        await scenes.drain(store)
        assert scenes.said(await scenes.take(store)) == [refusal]
        assert await store_factory.dead_letters() == []


async def _failed(store: Hub) -> list[Event]:
    """Instance `one` has failed; returns its history of three events."""
    end = ExecutionFailed(at=3, failure=Failure("Oops", "no"))
    delivery = await scenes.begin(store)
    await scenes.accept(store, scenes.turn(delivery, "h2", scenes.raised(), end, status=RuntimeStatus.FAILED))
    return await store.history("one")


async def _look(store: Hub) -> Delivery:
    """The instance as a client sees it, for whom nobody rang."""
    return await scenes.checkout(store, Entry(scenes.partition(store, "one"), "0", "one"))


def _commit(delivery: Delivery, kept: int) -> TurnCommit:
    return TurnCommit(
        entry=delivery.entry,
        expected=delivery.head,
        head="h9",
        execution=delivery.execution,
        name=delivery.name,
        start_consumed=delivery.start is not None,
        status=RuntimeStatus.RUNNING,
        next=NEXT,
        kept=Kept(kept, FIRST) if kept else None,
    )


async def _rewind(store: Hub, kept: int = 2) -> TurnCommit:
    """A client rewinds it."""
    commit = _commit(await _look(store), kept)
    await scenes.accept(store, commit)
    return commit


async def _go_on(store: Hub, delivery: Delivery, status: RuntimeStatus = RuntimeStatus.RUNNING) -> TurnCommit:
    """Its first turn after that; its head is `h10`."""
    mark = ExecutionRewound(at=3, commit="h10", execution="x2", previous="x1", next_seq=7)
    commit = replace(scenes.turn(delivery, "h10", status=status), events=(mark,))
    await scenes.accept(store, commit)
    return commit
