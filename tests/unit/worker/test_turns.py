"""The pipeline: one owner per instance, batches, poison, and deliveries that came with a completion."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import anyio
import pytest
from msgspec.structs import replace

from redurable import Client
from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.core.delivery import Delivery, Entry, Outcome, Position, Receipt, TurnCommit
from redurable.core.events import ActivityCompleted, EventRaised, ExecutionStarted
from redurable.core.messages import StartExecution
from redurable.core.turn import Turn, TurnInput, take_turn
from redurable.core.values import Arguments
from redurable.errors import StoreUnavailable
from redurable.facts import CacheEvicted, InstancesStarted, QuarantineEnded, TurnParked, TurnsTaken
from redurable.store.memory import MemoryStore, admission, turns
from redurable.store.port import Committed, Completed, Lost, StartRequest, TaskDemand, TaskEnd, TaskLease
from redurable.worker.turns import Done, Pipeline
from tests.unit.worker.stage import FaultyStore, Stage, raw, settings

app = App("stage")


@app.activity
async def echo(value: int) -> int:
    return value


@app.orchestrator
async def collect(ctx: OrchestrationContext, count: int) -> list[int]:
    return [await ctx.wait_for_external_event("Go", int) for _ in range(count)]


@app.orchestrator
async def together(ctx: OrchestrationContext, width: int) -> int:
    calls = [ctx.call_activity(echo, number) for number in range(width)]
    return sum(await asyncio.gather(*calls))


class Watching(FaultyStore):
    """Notes what is checked out with what, and fails the test when an instance is in two batches at once."""

    def __init__(self, stage: Stage, consumer: str = "w1") -> None:
        super().__init__(stage.hub, consumer)
        self.batches: list[list[Entry]] = []
        self.known: list[Position | None] = []
        self.fetched = 0
        self._busy: set[str] = set()

    async def checkout(self, entries: Sequence[Entry], known: Sequence[Position | None]) -> list[Delivery]:
        names = {entry.instance for entry in entries}
        assert len(names) == len(entries)
        assert not names & self._busy
        self._busy |= names
        self.batches.append(list(entries))
        self.known += known
        deliveries = await super().checkout(entries, known)
        self.fetched += sum(len(delivery.events) for delivery in deliveries)
        return deliveries

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        # Let other lanes run while this one waits for the answer.
        await anyio.sleep(0.002)
        committed = await super().commit(commits, demand)
        self._busy -= {commit.entry.instance for commit in commits}
        await anyio.sleep(0.002)
        return committed


async def test_an_instance_is_in_one_batch_at_a_time_however_often_it_is_announced() -> None:
    stage = Stage()
    store = Watching(stage)
    await stage.start("collect", 40)
    async with stage.working(app, store=store):
        for number in range(40):
            await stage.raise_event("one", "Go", number)
            # A bell that nobody rang for a reason, and one that was rung before.
            stage.hub.of("one").ready.append(stage.hub.clock(), {b"i": b"one"})
            await anyio.sleep(0.001)
        assert await stage.result() == list(range(40))
    assert stage.held() == 0


async def test_a_cached_instance_reads_only_what_is_new() -> None:
    stage = Stage()
    store = Watching(stage)
    await stage.start("collect", 30)
    async with stage.working(app, store=store, roles={"orchestrations"}):
        await stage.until(lambda: bool(stage.told(InstancesStarted)))
        for number in range(30):
            length = len(store.known)
            await stage.raise_event("one", "Go", number)
            await stage.until(lambda length=length: len(store.known) > length)
        assert await stage.result() == list(range(30))
    # All deltas were empty: what the worker wrote itself, it knows.
    assert store.fetched == 0
    assert [position is None for position in store.known].count(True) == 1


async def test_entries_delivered_before_run_alone() -> None:
    stage = Stage(partitions=1)
    for number in range(6):
        await stage.start("collect", 1, instance=f"i{number}")
    # Four were received by a worker that died.
    dead = MemoryStore(stage.hub, "dead")
    assert len(await dead.receive([0], 4, 0)) == 4
    store = Watching(stage)
    async with stage.working(app, store=store, settings=settings(instance_lease_ms=20, lanes=1)):
        await stage.until(lambda: sum(len(batch) for batch in store.batches) == 6)
    alone = [batch for batch in store.batches if batch[0].again]
    assert sorted(len(batch) for batch in alone) == [1, 1, 1, 1]
    assert [len(batch) for batch in store.batches if not batch[0].again] == [2]


class Fencing(Watching):
    """Turns of `busy` are fenced, twenty times. Whoever held `poor` fell silent."""

    async def receive(self, partitions: Sequence[int], count: int, block_ms: int) -> list[Entry]:
        entries = await super().receive(partitions, 10, block_ms)
        return [replace(entry, deliveries=2) if entry.instance == "poor" else entry for entry in entries]

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        if len(self.batches) > 20 or commits[0].entry.instance != "busy":
            return await super().commit(commits, demand)
        self._busy -= {"busy"}
        return Committed((Receipt(Outcome.FENCED),))


async def test_an_entry_delivered_before_has_its_turn_however_often_others_come_again() -> None:
    stage = Stage(partitions=1)
    await stage.start("collect", 0, instance="poor")
    await stage.start("collect", 0, instance="busy")
    store = Fencing(stage)
    async with stage.working(app, store=store, settings=settings(lanes=1)):
        assert await stage.result("busy") == []
        assert await stage.result("poor") == []
    assert [[entry.instance for entry in batch] for batch in store.batches][:3] == [["busy"], ["poor"], ["busy"]]


class Slow(FaultyStore):
    """More is received than fits into a batch, and the first commit lasts until these instances were renewed."""

    def __init__(self, stage: Stage, *renewed: str) -> None:
        super().__init__(stage.hub, "w1")
        self.missing, self.renewed = set(renewed), anyio.Event()

    async def receive(self, partitions: Sequence[int], count: int, block_ms: int) -> list[Entry]:
        return await super().receive(partitions, 10, block_ms)

    async def renew(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> Lost:
        self.missing -= {entry.instance for entry in entries}
        if not self.missing:
            self.renewed.set()
        return await super().renew(entries, tasks)

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        await self.renewed.wait()
        return await super().commit(commits, demand)


async def test_what_was_received_is_held_while_others_have_their_turns() -> None:
    stage = Stage(partitions=1)
    for number in range(3):
        await stage.start("collect", 1, instance=f"i{number}")
        await stage.raise_event(f"i{number}", "Go", number)
    store = Slow(stage, "i0", "i1", "i2")
    async with stage.working(app, store=store, settings=settings(batch=1, lanes=1, renew_every_ms=5)):
        for number in range(3):
            assert await stage.result(f"i{number}") == [number]
    assert stage.held() == 0


async def test_what_came_with_a_completion_is_held_while_its_instance_has_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(partitions=1)
    store = Slow(stage)
    store.renewed.set()
    follow = Pipeline.follow

    async def with_another(pipeline: Pipeline, done: Done) -> None:
        if done.completed.deliveries:
            start = StartExecution(name="collect", execution="x-other", call=Arguments(input=raw(0)))
            admission.start(stage.hub, StartRequest("other", start))
            done = replace(done, waited=turns.receive(stage.hub, "w1", [0], 1))
            store.missing, store.renewed = {"other"}, anyio.Event()
        await follow(pipeline, done)

    monkeypatch.setattr(Pipeline, "follow", with_another)
    await stage.start("together", 1)
    quick = settings(renew_every_ms=5, instance_lease_ms=600_000)  # Nobody takes it over.
    async with stage.working(app, store=store, settings=quick):
        assert await stage.result() == 0
        assert await stage.result("other") == []
    assert stage.held() == 0
    assert store.missing == set()


async def test_executions_that_were_reset_again_and_again_are_forgotten_too() -> None:
    """They all have the same number."""
    stage = Stage()
    await stage.start("collect", 1)
    async with (
        stage.working(app, settings=settings(kept_executions=2)),
        Client.from_store(MemoryStore(stage.hub, "client")) as client,
    ):
        for _ in range(8):
            await stage.until_seen("one", lambda seen: seen.start is None)
            await client.reset("one", 0)
        await stage.raise_event("one", "Go", 7)
        assert await stage.result() == [7]
        await stage.until(lambda: len(stage.hub.of("one").executions["one"]) == 3)
    assert stage.hub.of("one").executions["one"][0] == "x-one"


async def test_code_that_is_unknown_parks_until_a_worker_knows_it(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    await stage.start("collect", 1)
    await stage.raise_event("one", "Go", 7)
    quick = settings(park_min_ms=60)
    async with stage.working(App("stage"), settings=quick):
        parked = await stage.until_seen("one", lambda seen: bool(seen.quarantined))
        await stage.until_seen("one", lambda seen: seen.parks > 2)
    assert parked.quarantined is not None
    assert parked.quarantined.reason == "unknown orchestrator"
    assert caplog.text.count("instance one is quarantined and tried again, later and later: unknown") == 1
    assert [fact.first for fact in stage.told(TurnParked)][:3] == [True, False, False]
    assert {fact.instance for fact in stage.told(TurnParked)} == {"one"}
    caplog.set_level("INFO")
    async with stage.working(app, "w2", settings=quick):
        assert await stage.result() == [7]
    assert "instance one goes on: it is quarantined no more" in caplog.text
    assert stage.told(QuarantineEnded) == [QuarantineEnded(("collect",))]
    ended = await stage.store.get("one")
    assert ended is not None
    assert (ended.quarantined, ended.parks) == (None, 0)


async def test_an_engine_that_raises_parks_one_instance_and_not_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(definition: object, turn: TurnInput) -> Turn:
        if turn.delivery.entry.instance == "one":
            raise RuntimeError("a bug of the engine")
        return take_turn(app.registry.orchestrator("collect"), turn)

    monkeypatch.setattr("redurable.worker.turn_thread.take_turn", broken)
    stage = Stage()
    await stage.start("collect", 0)
    await stage.start("collect", 0, instance="two")
    async with stage.working(app):
        assert await stage.result("two") == []
        parked = await stage.until_seen("one", lambda seen: bool(seen.quarantined))
    assert parked.quarantined is not None
    assert "a bug of the engine" in parked.quarantined.detail
    assert parked.quarantined.reason == "engine error"


class MovesOn(Watching):
    """While a completion is on its way, another lane takes a turn of the same instance."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.stage = stage

    async def complete(
        self,
        ends: Sequence[TaskEnd],
        known: Sequence[Position | None],
        count: int = 0,
        partitions: Sequence[int] = (),
        demand: TaskDemand | None = None,
    ) -> Completed:
        completed = await super().complete(ends, known, count, partitions, demand)
        if completed.deliveries:
            # The delivery waits here, while a bell makes a lane take a turn that consumes its mail.
            instance = completed.deliveries[0].entry.instance
            self.stage.hub.of(instance).ready.append(self.stage.hub.clock(), {b"i": instance.encode()})
            await anyio.sleep(0.02)
        return completed


async def test_a_delivery_that_the_cache_has_overtaken_is_checked_out_again() -> None:
    stage = Stage()
    store = MovesOn(stage)
    await stage.start("together", 3)
    async with stage.working(app, store=store):
        assert await stage.result() == 3
    completed = [event.seq for event in await stage.history() if isinstance(event, ActivityCompleted)]
    assert sorted(completed) == [1, 2, 3]
    assert {turn.result for fact in stage.told(TurnsTaken) for turn in fact.turns} == {"ok"}
    assert stage.held() == 0


async def test_facts_say_how_near_its_cap_a_history_is() -> None:
    stage = Stage()
    await stage.start("collect", 2)
    async with stage.working(app, settings=settings(max_history_events=8)):
        for number in range(2):
            await stage.raise_event("one", "Go", number)
        assert await stage.result() == [0, 1]
    turns = [turn for fact in stage.told(TurnsTaken) for turn in fact.turns]
    assert [turn.filled for turn in turns[:-1]] == [turn.events / 8 for turn in turns[:-1]]
    assert turns[-1].filled == 0


class Unreliable(FaultyStore):
    """Loses and refuses at random, in every verb that it is asked."""

    def __init__(self, stage: Stage, consumer: str, rng: random.Random) -> None:
        super().__init__(stage.hub, consumer)
        self.rng = rng

    async def checkout(self, entries: Sequence[Entry], known: Sequence[Position | None]) -> list[Delivery]:
        if self.rng.random() < 0.1:
            raise StoreUnavailable("checkout: by chance")
        return await super().checkout(entries, known)

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        self._roll("commit")
        return await super().commit(commits, demand)

    async def complete(
        self,
        ends: Sequence[TaskEnd],
        known: Sequence[Position | None],
        count: int = 0,
        partitions: Sequence[int] = (),
        demand: TaskDemand | None = None,
    ) -> Completed:
        self._roll("complete")
        return await super().complete(ends, known, count, partitions, demand)

    async def receive(self, partitions: Sequence[int], count: int, block_ms: int) -> list[Entry]:
        self._roll("receive")
        return await super().receive(partitions, count, block_ms)

    def _roll(self, verb: str) -> None:
        self.refuse_next = verb if self.rng.random() < 0.1 else ""
        self.lose_next = verb if self.rng.random() < 0.1 else ""


async def test_three_workers_over_an_unreliable_store_lose_and_repeat_nothing(rng: random.Random) -> None:
    stage = Stage(partitions=8)
    quick = settings(instance_lease_ms=150, task_lease_ms=300, renew_every_ms=30, cache_instances=20)
    async with (
        stage.working(app, store=Unreliable(stage, "w1", rng), settings=quick),
        stage.working(app, store=Unreliable(stage, "w2", rng), settings=quick),
        stage.working(app, store=Unreliable(stage, "w3", rng), settings=quick),
    ):
        for number in range(40):
            await stage.start("together", 5, instance=f"sum-{number}")
            await stage.start("collect", 2, instance=f"got-{number}")
            await stage.raise_event(f"got-{number}", "Go", number)
            await stage.raise_event(f"got-{number}", "Go", -number)
        for number in range(40):
            assert await stage.result(f"sum-{number}") == 10
            assert await stage.result(f"got-{number}") == [number, -number]
            history = await stage.history(f"got-{number}")
            assert len([event for event in history if isinstance(event, EventRaised)]) == 2
            assert len([event for event in history if isinstance(event, ExecutionStarted)]) == 1
    await stage.until(lambda: stage.held() == 0)
    assert {turn.result for fact in stage.told(TurnsTaken) for turn in fact.turns} <= {"ok", "fenced"}
    assert {fact.reason for fact in stage.told(CacheEvicted)} <= {"fenced", "full"}
