"""What a worker does when the store does not answer, refuses, or has given its work to others."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest
from msgspec.structs import replace

from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.core.delivery import Entry, Outcome, Receipt, TurnCommit
from redurable.core.events import ActivityScheduled, EventRaised
from redurable.errors import StoreRefused, StoreUnavailable, WorkerStopped
from redurable.facts import CacheEvicted, Facts, StoreFaulted, TurnsTaken
from redurable.store.membership import Skills
from redurable.store.memory import MemoryStore
from redurable.store.port import Committed, Lost, TaskDemand, TaskLease
from redurable.worker.patience import PatientStore
from tests.unit.worker.stage import FaultyStore, Stage, settings

app = App("stage")
calls: list[str] = []


@app.activity
async def greet(name: str) -> str:
    calls.append(name)
    return f"Hello {name}!"


@app.orchestrator
async def sequence(ctx: OrchestrationContext, names: list[str]) -> list[str]:
    return [await ctx.call_activity(greet, name) for name in names]


@app.orchestrator
async def waiter(ctx: OrchestrationContext) -> list[int]:
    return [await ctx.wait_for_external_event("Go", int) for _ in range(2)]


@pytest.mark.parametrize("how", ["refuse_next", "lose_next"])
@pytest.mark.parametrize("verb", ["receive", "commit", "complete"])
async def test_every_unanswered_verb_is_repeated_and_nothing_happens_twice(
    verb: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()
    calls.clear()
    store = FaultyStore(stage.hub, "w1")
    setattr(store, how, verb)
    await stage.start("sequence", ["a", "b", "c"])
    with caplog.at_level(logging.WARNING, "redurable.worker"):
        async with stage.working(app, store=store):
            assert await stage.result() == ["Hello a!", "Hello b!", "Hello c!"]
            await stage.until(lambda: "the store answers again" in caplog.text)
    assert calls == ["a", "b", "c"]
    assert len([event for event in await stage.history() if isinstance(event, ActivityScheduled)]) == 3
    assert [fact.verb for fact in stage.told(StoreFaulted)] == [verb]
    assert "the store does not answer" in caplog.text
    assert stage.held() == 0


async def test_a_store_that_reads_but_takes_no_writes_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    store = FaultyStore(Stage().hub, "w1")
    patient = PatientStore(store, settings(), Facts())
    store.errors["heartbeat"] = StoreUnavailable("no room")
    with caplog.at_level(logging.WARNING, "redurable.worker"):
        async with anyio.create_task_group() as group:
            group.start_soon(patient.heartbeat, 1_000, Skills())
            for calls_so_far in range(3):
                while store.calls["heartbeat"] <= calls_so_far:
                    await anyio.lowlevel.checkpoint()
                await patient.sweep(0, "", 1)
                assert patient.is_down
            del store.errors["heartbeat"]
    assert not patient.is_down
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "the store does not answer (heartbeat: no room); repeating until it does",
        "the store answers again (heartbeat)",
    ]


async def test_tasks_whose_delivery_was_lost_are_found_again_long_before_their_lease_runs_out() -> None:
    stage = Stage()
    calls.clear()
    store = FaultyStore(stage.hub, "w2-activities")
    async with (
        stage.working(app, "w1", roles={"orchestrations"}),
        stage.working(app, store=store, roles={"activities"}),
    ):
        await stage.until(lambda: store.calls["receive_tasks"] > 0)
        store.lose_next = "receive_tasks"
        await stage.start("sequence", ["a", "b"])
        assert await stage.result() == ["Hello a!", "Hello b!"]
    assert calls == ["a", "b"]
    assert [fact.verb for fact in stage.told(StoreFaulted)] == ["receive_tasks"]
    assert stage.held() == 0


async def test_a_refusal_stops_the_worker_and_names_the_role() -> None:
    stage = Stage()
    store = FaultyStore(stage.hub, "w1")
    store.errors["sweep"] = StoreRefused("the password is wrong: set another one")
    async with stage.worker(app, store=store) as worker:
        with pytest.raises(WorkerStopped, match="the role sweeper died: StoreRefused: the password is wrong") as raised:
            await worker.run()
    assert isinstance(raised.value.__cause__, StoreRefused)


class Rival(FaultyStore):
    """Just before a commit that would record an event, another worker makes the same turn true."""

    rivals = 1

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        if self.rivals and any(isinstance(event, EventRaised) for commit in commits for event in commit.events):
            self.rivals -= 1
            theirs = [
                replace(commit, head="rival", events=(*commit.events[:-1], replace(commit.events[-1], commit="rival")))
                for commit in commits
            ]
            await MemoryStore(self.state, "rival").commit(theirs)
        return await super().commit(commits, demand)


async def test_a_fenced_turn_leaves_no_trace_and_its_replay_is_evicted() -> None:
    stage = Stage()
    await stage.start("waiter")
    async with stage.working(app, store=Rival(stage.hub, "w1")):
        await stage.until(lambda: bool(stage.told(TurnsTaken)))
        await stage.raise_event("one", "Go", 1)
        await stage.until(lambda: bool(stage.told(CacheEvicted)))
        await stage.raise_event("one", "Go", 2)
        assert await stage.result() == [1, 2]
    assert stage.told(CacheEvicted) == [CacheEvicted("fenced", 1)]
    raised = [event for event in await stage.history() if isinstance(event, EventRaised)]
    assert [event.commit == "rival" for event in raised] == [True, False]
    assert stage.held() == 0


class FencedWhileHeld(FaultyStore):
    """Answers the first commit with `fenced` although nobody else did anything: the entry is still ours."""

    fenced = False

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        if not self.fenced:
            self.fenced = True
            commits = [replace(commit, expected="nonsense") for commit in commits]
        return await super().commit(commits, demand)


async def test_a_fenced_entry_that_is_still_ours_is_checked_out_again() -> None:
    stage = Stage()
    calls.clear()
    await stage.start("sequence", ["a"])
    async with stage.working(app, store=FencedWhileHeld(stage.hub, "w1")):
        assert await stage.result() == ["Hello a!"]
    results = [turn.result for fact in stage.told(TurnsTaken) for turn in fact.turns]
    assert results == ["fenced", "ok", "ok"]
    assert calls == ["a"]


class Losing(FencedWhileHeld):
    """And by then the lease is lost."""

    async def renew(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> Lost:
        return Lost(tuple(entries), ())


async def test_a_fenced_entry_that_is_lost_is_left_to_its_new_holder() -> None:
    stage = Stage()
    await stage.start("sequence", ["a"])
    async with stage.working(app, store=Losing(stage.hub, "w1"), settings=settings(instance_lease_ms=200)):
        await stage.until(lambda: bool(stage.told(TurnsTaken)))
        assert [turn.result for fact in stage.told(TurnsTaken) for turn in fact.turns] == ["fenced"]
        # Its new holder is this worker again, when the lease has run out.
        assert await stage.result() == ["Hello a!"]


class Damaged(FaultyStore):
    """Says once that a commit failed."""

    damaged = False

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        if self.damaged:
            return await super().commit(commits, demand)
        self.damaged = True
        committed = await super().commit([], demand)
        return replace(committed, receipts=tuple(Receipt(Outcome.FAILED, "WRONGTYPE") for _ in commits))


async def test_a_commit_that_fails_is_logged_and_tried_again_when_the_lease_runs_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    await stage.start("sequence", ["a"])
    async with stage.working(app, store=Damaged(stage.hub, "w1"), settings=settings(instance_lease_ms=100)):
        assert await stage.result() == ["Hello a!"]
    assert "instance one: its commit failed: WRONGTYPE" in caplog.text
    assert next(turn.result for fact in stage.told(TurnsTaken) for turn in fact.turns) == "failed"
