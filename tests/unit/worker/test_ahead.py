"""Turns that are decided ahead: which are, what becomes of those that something else overtakes, and of lost answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from redurable.authoring.activity_context import ActivityContext
from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.authoring.policies import RetryPolicy
from redurable.core.delivery import Delivery, Entry, Position
from redurable.core.events import ActivityCompleted, ActivityFailed, EventRaised
from redurable.core.known import Known
from redurable.core.messages import ActivityResult
from redurable.core.turn import Turn, TurnInput, take_turn
from redurable.errors import ActivityFailed as ActivityError
from redurable.errors import StoreUnavailable
from redurable.facts import CacheEvicted, TurnsTaken
from redurable.store.port import Completed, TaskDemand, TaskEnd
from redurable.worker import turn_thread
from redurable.worker.holdings import Holdings
from redurable.worker.turn_thread import TurnThread
from tests.unit.worker.stage import FaultyStore, Stage, settings

app = App("stage")


@app.activity
async def successor(number: int) -> int:
    return number + 1


@app.activity(retry=RetryPolicy(max_attempts=2, initial_interval=timedelta(milliseconds=1)))
async def fails_first() -> int:
    attempt = ActivityContext.current().attempt
    if attempt == 1:
        raise ValueError("not yet")
    return attempt


@app.activity(retry=RetryPolicy(max_attempts=1))
async def fails() -> None:
    raise ValueError("never")


@app.orchestrator
async def chain(ctx: OrchestrationContext, length: int) -> int:
    number = 0
    for _ in range(length):
        number = await ctx.call_activity(successor, number)
    return number


@app.orchestrator
async def heard(ctx: OrchestrationContext, length: int) -> list[Any]:
    """What was heard, in the order in which it was."""
    said: list[Any] = []
    event = asyncio.ensure_future(ctx.wait_for_external_event("Go", str))
    event.add_done_callback(lambda done: said.append(done.result()))
    for number in range(length):
        said += [await ctx.call_activity(successor, number)]
    await event
    return said


@app.orchestrator
async def pair(ctx: OrchestrationContext) -> int:
    return sum(await asyncio.gather(*(ctx.call_activity(successor, number) for number in range(2))))


@app.orchestrator
async def patient(ctx: OrchestrationContext) -> int:
    async with asyncio.timeout(3_600):
        return await ctx.call_activity(successor, 1)


@app.orchestrator
async def failing(ctx: OrchestrationContext) -> str:
    try:
        await ctx.call_activity(fails)
    except ActivityError as error:
        return type(error).__name__
    return ""


@app.orchestrator
async def retrying(ctx: OrchestrationContext) -> int:
    return await ctx.call_activity(fails_first)


@pytest.fixture(autouse=True)
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """All code is believed to be quick."""
    monkeypatch.setattr(turn_thread, "PROVEN_TURNS", 0)


class Watching(FaultyStore):
    """Notes what came with each end, and what was checked out; `before` and `after` happen to the next one."""

    def __init__(self, stage: Stage, consumer: str = "w1") -> None:
        super().__init__(stage.hub, consumer)
        self.stage = stage
        self.turns: list[bool] = []
        self.answers: list[str] = []
        self.checked: list[Position | None] = []
        self.event_at = -1
        self.lose_at: set[int] = set()

    async def complete(
        self,
        ends: Sequence[TaskEnd],
        known: Sequence[Position | None],
        count: int = 0,
        partitions: Sequence[int] = (),
        demand: TaskDemand | None = None,
    ) -> Completed:
        number = len(self.turns)
        self.turns += [end.turn is not None for end in ends]
        if number == self.event_at:
            await self.stage.raise_event("one", "Go", "event")
        completed = await super().complete(ends, known, count, partitions, demand)
        self.answers += [receipt.outcome.value for receipt in completed.receipts]
        if number in self.lose_at:
            raise StoreUnavailable("complete: the answer was lost")
        return completed

    async def checkout(self, entries: Sequence[Entry], known: Sequence[Position | None]) -> list[Delivery]:
        self.checked += known
        return await super().checkout(entries, known)


async def _run(name: str, *args: object, store: Watching) -> Any:
    stage = store.stage
    await stage.start(name, *args)
    async with stage.working(app, store=store):
        result = await stage.result()
    assert stage.held() == 0
    return result


async def test_a_chain_is_checked_out_once() -> None:
    store = Watching(Stage())
    assert await _run("chain", 20, store=store) == 20
    assert store.checked == [None]
    assert store.turns == [True] * 20
    assert (store.calls["commit"], store.answers) == (1, ["accepted"] * 20)
    taken = [turn.result for fact in store.stage.told(TurnsTaken) for turn in fact.turns]
    assert taken == ["ok"] * 21
    history = await store.stage.history()
    assert len(history) == 42
    assert [event.at for event in history] == sorted(event.at for event in history)


async def test_an_event_that_comes_first_is_heard_first() -> None:
    store = Watching(Stage())
    store.event_at = 3
    assert await _run("heard", 8, store=store) == [1, 2, 3, "event", 4, 5, 6, 7, 8]
    assert store.answers == ["accepted"] * 3 + ["fenced"] + ["accepted"] * len(store.answers[4:])
    history = await store.stage.history()
    at = next(at for at, event in enumerate(history) if isinstance(event, EventRaised))
    assert isinstance(history[at + 1], ActivityCompleted)
    assert [fact.reason for fact in store.stage.told(CacheEvicted)] == ["fenced"]


async def test_after_a_replay_turns_are_decided_ahead_again_when_enough_were_taken() -> None:
    store = Watching(Stage())
    store.event_at = 20
    await _run("heard", 60, store=store)
    # 41 events were replayed; an eighth of them comes first, two a turn.
    begin = store.turns.index(False)
    assert store.turns == [True] * 21 + [False] * 2 + [True] * 37
    assert begin == 21


async def test_a_lost_answer_is_asked_for_again() -> None:
    store = Watching(Stage())
    store.lose_at = {2, 5}
    assert await _run("chain", 8, store=store) == 8
    assert store.answers.count("already-applied") == 2
    assert len(await store.stage.history()) == 18


async def test_two_calls_at_once_meet_in_the_mailbox() -> None:
    store = Watching(Stage())
    assert await _run("pair", store=store) == 3
    assert store.turns[0] is False


async def test_a_timer_beside_the_call_does_not_matter() -> None:
    store = Watching(Stage())
    assert await _run("patient", store=store) == 2
    assert store.turns == [True]
    assert not any(partition.timers for partition in store.stage.hub.partitions)


async def test_a_failure_is_an_outcome_as_well() -> None:
    store = Watching(Stage())
    assert await _run("failing", store=store) == "ActivityFailed"
    assert store.turns == [True]
    assert any(isinstance(event, ActivityFailed) for event in await store.stage.history())


async def test_only_the_first_attempt_leads_to_a_turn_ahead() -> None:
    # Should a turn kill its worker, the attempt counts as crashed; the next outcome has to be in the mailbox then.
    store = Watching(Stage())
    assert await _run("retrying", store=store) == 2
    assert store.turns == [False, False]


async def test_an_engine_that_raises_ahead_parks_the_instance_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(definition: Any, turn: TurnInput) -> Turn:
        if any(isinstance(mail.message, ActivityResult) for mail in turn.delivery.mails):
            raise RuntimeError("a bug of the engine")
        return take_turn(definition, turn)

    monkeypatch.setattr("redurable.worker.turn_thread.take_turn", broken)
    stage = Stage()
    store = Watching(stage)
    await stage.start("chain", 1)
    async with stage.working(app, store=store):
        parked = await stage.until_seen("one", lambda seen: bool(seen.quarantined))
    assert (parked.unread, store.turns) == (1, [False])
    assert parked.quarantined is not None
    assert "a bug of the engine" in parked.quarantined.detail


async def test_an_entry_that_waited_for_a_turn_that_came_to_nothing_is_turned_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()
    store, waits, take, claim = Watching(stage), asyncio.Event(), TurnThread.take, Holdings.claim

    def broken(definition: Any, turn: TurnInput) -> Turn:
        if not turn.delivery.entry.id:
            raise RuntimeError("a bug of the engine")
        return take_turn(definition, turn)

    async def overtaken(thread: TurnThread, batch: Sequence[tuple[Delivery, Known | None]], evicted: Any) -> Any:
        if not batch[0][0].entry.id:
            await stage.raise_event("one", "Go", "event")
            await waits.wait()
        return await take(thread, batch, evicted)

    def claimed(holdings: Holdings, entries: Iterable[Entry]) -> list[Entry]:
        known = list(entries)
        free = claim(holdings, known)
        if len(free) < len(known):
            waits.set()
        return free

    monkeypatch.setattr("redurable.worker.turn_thread.take_turn", broken)
    monkeypatch.setattr(TurnThread, "take", overtaken)
    monkeypatch.setattr(Holdings, "claim", claimed)
    await stage.start("heard", 1)
    async with stage.working(app, store=store, settings=settings(instance_lease_ms=600_000)):
        assert await stage.result() == ["event", 1]
    assert store.turns == [False]
