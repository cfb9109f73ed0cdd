"""One execution ends and the next begins, in one commit."""

from __future__ import annotations

from msgspec.structs import replace

from redurable.core.delivery import Outcome, Outgoing, Position, Timer
from redurable.core.events import ExecutionCompleted, ExecutionContinuedAsNew
from redurable.core.messages import ActivityResult, StartExecution
from redurable.core.values import RuntimeStatus
from redurable.store.port import Hub, SendOutcome, StartOutcome
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory

NEXT = StartExecution(name="Demo", execution="x2", number=2, first_seq=7, event_ids=("seen",))


class TestContinueAsNew:
    async def test_the_next_execution_finds_its_start(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        created = await _continue(store)
        delivery = await scenes.take(store)
        assert (delivery.status, delivery.execution) == (RuntimeStatus.RUNNING, "x2")
        assert (delivery.start, delivery.events, delivery.head) == (NEXT, (), "h2")
        snapshot = await store.get("one")
        assert snapshot is not None
        assert (snapshot.number, snapshot.length, snapshot.created_at) == (2, 0, created)

    async def test_the_history_of_the_ended_execution_is_kept(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _continue(store)
        assert await store.executions("one") == ["x1", "x2"]
        past = await store.history("one", "x1")
        assert [event.commit for event in past] == ["h1", "h2"]
        assert isinstance(past[-1], ExecutionContinuedAsNew)
        assert await store.history("one") == []
        assert await store.history("one", "x2") == []

    async def test_the_end_of_the_execution_is_told(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        number = scenes.partition(store, "one")
        before = await store.feed_position(number)
        await _continue(store)
        ((_, change),) = await store.feed({number: before}, 0)
        assert (change.execution, change.status) == ("x1", RuntimeStatus.CONTINUED_AS_NEW)

    async def test_messages_for_the_ended_execution_are_stale(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _continue(store)
        late = ActivityResult(execution="x1", seq=1)
        assert await scenes.send(store, "one", late, scenes.event("A")) == [SendOutcome.STALE, SendOutcome.SENT]
        delivery = await scenes.take(store)
        assert scenes.said(delivery) == [scenes.event("A")]

    async def test_a_position_in_the_ended_execution_is_worth_nothing(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _continue(store)
        await scenes.accept(store, scenes.turn(await scenes.take(store), "h3"))
        await scenes.send(store, "one", scenes.event())
        (entry,) = await scenes.receive(store)
        (delivery,) = await store.checkout([entry], [Position("x1", 1, "h1")])
        assert (delivery.base, [event.commit for event in delivery.events]) == (0, ["h3"])

    async def test_unread_mail_is_for_the_next_execution(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await scenes.send(store, "one", scenes.event("A"), scenes.event("B"))
        delivery = await scenes.take(store)
        last = ExecutionContinuedAsNew(at=3, next="x2")
        await scenes.accept(store, scenes.turn(delivery, "h2", last, next=NEXT, consumed=delivery.mails[0].id))
        following = await scenes.take(store)
        assert (following.start, scenes.said(following)) == (NEXT, [scenes.event("B")])

    async def test_timers_of_the_ended_execution_are_gone(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store, timers=(Timer(1, 1), Timer(2, 2)))
        await scenes.send(store, "one", scenes.event())
        delivery = await scenes.take(store)
        end = scenes.turn(delivery, "h2", ExecutionContinuedAsNew(at=3, next="x2"), next=NEXT, canceled_timers=(1, 2))
        await scenes.accept(store, end)
        assert (await store.upcoming(scenes.everywhere(store), 0, 10)).timers == ()

    async def test_a_repeated_commit_is_recognised(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store)
        await scenes.send(store, "one", scenes.event())
        end = scenes.turn(await scenes.take(store), "h2", ExecutionContinuedAsNew(at=3, next="x2"), next=NEXT)
        await scenes.accept(store, end)
        assert await scenes.outcome(store, end) is Outcome.ALREADY_APPLIED
        assert await store.executions("one") == ["x1", "x2"]
        assert (await scenes.take(store)).start == NEXT

    async def test_a_late_repetition_of_the_start_is_recognised(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _continue(store)
        for on_conflict in ("fail", "use-existing", "replace-finished"):
            assert await store.start(scenes.request(on_conflict=on_conflict)) is StartOutcome.STARTED
        refused = Outgoing("one", scenes.message("x1"), ("mother", scenes.refusal()))
        assert await store.send([refused]) == [SendOutcome.SENT]
        assert (await store.relay(scenes.partition(store, "one"), 10)).count == 0
        assert (await scenes.take(store)).execution == "x2"

    async def test_an_execution_may_end_in_its_first_turn(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        delivery = await scenes.begin(store)
        await scenes.accept(store, scenes.turn(delivery, "h1", ExecutionContinuedAsNew(at=3, next="x2"), next=NEXT))
        assert (await scenes.take(store)).start == NEXT
        assert len(await store.history("one", "x1")) == 2


class TestPrune:
    async def test_the_first_and_the_last_stay(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _ten_executions(store)
        assert await store.prune("one", 9) == 0
        assert await store.prune("one", 3) == 5
        assert await store.executions("one") == ["x1", "x7", "x8", "x9", "x10"]
        assert [len(await store.history("one", f"x{n}")) for n in range(1, 11)] == [1, 0, 0, 0, 0, 0, 1, 1, 1, 0]
        assert await store.prune("one", 3) == 0
        assert await store.prune("one", 0) == 3
        assert await store.executions("one") == ["x1", "x10"]
        assert await store.prune("one", 0) == 0

    async def test_the_instance_goes_on_as_before(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await _ten_executions(store)
        await store.prune("one", 1)
        assert await store.start(scenes.request()) is StartOutcome.STARTED
        snapshot = await store.get("one")
        assert snapshot is not None
        assert (snapshot.execution, snapshot.number) == ("x10", 10)
        end = scenes.turn(await scenes.take(store), "end", ExecutionCompleted(at=2), status=RuntimeStatus.COMPLETED)
        await scenes.accept(store, end)
        assert await store.executions("one") == ["x1", "x9", "x10"]
        assert await store.purge("one") == "purged"
        assert [await store.history("one", f"x{n}") for n in (1, 9, 10)] == [[], [], []]

    async def test_nothing_is_forgotten_where_there_is_nothing(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        assert await store.prune("one", 0) == 0
        await scenes.running(store)
        assert await store.prune("one", 0) == 0
        assert await store.executions("one") == ["x1"]
        assert len(await store.history("one")) == 1

    async def test_any_number_may_do_it(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        await _ten_executions(one)
        await scenes.together(*[lambda store=store: store.prune("one", 2) for store in (one, two) * 2])
        assert await one.executions("one") == ["x1", "x8", "x9", "x10"]


async def _ten_executions(store: Hub) -> None:
    """Instance `one` is about to begin its execution x10."""
    delivery = await scenes.begin(store)
    for number in range(2, 11):
        following = StartExecution(name="Demo", execution=f"x{number}", number=number)
        turn = scenes.turn(delivery, f"h{number}", ExecutionContinuedAsNew(at=3, next=f"x{number}"), next=following)
        await scenes.accept(store, replace(turn, events=turn.events[-1:]))
        if number < 10:
            delivery = await scenes.take(store)


async def _continue(store: Hub) -> int:
    """Instance `one` goes from execution x1 to x2; returns when it was created."""
    await scenes.running(store)
    before = await store.get("one")
    await scenes.send(store, "one", scenes.event())
    end = scenes.turn(await scenes.take(store), "h2", ExecutionContinuedAsNew(at=3, next="x2"), next=NEXT)
    await scenes.accept(store, end)
    assert before is not None
    return before.created_at
