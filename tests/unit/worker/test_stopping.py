"""How a worker stops: nothing new, finish what runs, hand back the rest, leave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import anyio.lowlevel
import anyio.to_thread
import pytest

from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.authoring.policies import RetryPolicy
from redurable.core.delivery import Delivery, Entry, Position, TurnCommit
from redurable.core.events import ActivityCompleted
from redurable.errors import StoreUnavailable
from redurable.facts import ActivityAttempted, InstancesStarted
from redurable.store.membership import Membership, Skills
from redurable.store.memory import MemoryStore
from redurable.store.port import Committed, TaskDemand, TaskLease
from tests.unit.worker.stage import FaultyStore, Stage, running, settings


class Scene:
    """An app whose activities wait for the test, on the loop or in a thread."""

    def __init__(self) -> None:
        self.app = App("stage", default_retry=RetryPolicy(max_attempts=1))
        self.begun = 0
        self.cancelled = 0
        self.go_on = threading.Event()
        self.app.activity(name="slow")(self._slow)
        self.app.activity(name="slow_thread")(self._slow_thread)
        self.app.orchestrator(name="calls")(self._calls)
        self.app.orchestrator(name="waits")(self._waits)

    async def _slow(self, _number: int) -> str:
        self.begun += 1
        try:
            await anyio.to_thread.run_sync(self.go_on.wait, 20, abandon_on_cancel=True)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return "done"

    def _slow_thread(self, _number: int) -> str:
        self.begun += 1
        self.go_on.wait(20)
        return "done"

    @staticmethod
    async def _calls(ctx: OrchestrationContext, name: str, count: int) -> list[str]:
        calls = [ctx.call_activity(name, number, result_type=str) for number in range(count)]
        return list(await asyncio.gather(*calls))

    @staticmethod
    async def _waits(ctx: OrchestrationContext) -> None:
        await ctx.wait_for_external_event("never")


async def test_running_activities_are_finished_and_their_results_are_kept() -> None:
    stage, scene = Stage(), Scene()
    await stage.start("calls", "slow", 3)
    worker = stage.worker(scene.app)
    async with worker, running(worker):
        await stage.until(lambda: scene.begun == 3)
        worker.stop()
        await stage.until(lambda: not stage.hub.workers)
        scene.go_on.set()
    assert [fact.outcome for fact in stage.told(ActivityAttempted)] == ["ok"] * 3
    assert (scene.begun, scene.cancelled, stage.held()) == (3, 0, 0)
    # The results wait in the mailbox for the next worker.
    async with stage.working(scene.app, "w2"):
        assert await stage.result() == ["done"] * 3
    assert scene.begun == 3


async def test_what_takes_too_long_is_cancelled_and_handed_back_at_once() -> None:
    stage, scene = Stage(), Scene()
    await stage.start("calls", "slow", 2)
    worker = stage.worker(scene.app, settings=settings(drain_timeout_ms=50))
    async with worker, running(worker):
        await stage.until(lambda: scene.begun == 2)
    assert (scene.cancelled, stage.held()) == (2, 0)
    scene.go_on.set()
    # Whatever it had kept would be found by nobody.
    async with stage.working(scene.app, "w2", settings=settings(task_lease_ms=600_000)):
        assert await stage.result() == ["done"] * 2
    completed = [event for event in await stage.history() if isinstance(event, ActivityCompleted)]
    assert [event.attempts for event in completed] == [1, 1]


async def test_a_function_in_a_thread_keeps_its_task_because_it_goes_on_running() -> None:
    stage, scene = Stage(), Scene()
    await stage.start("calls", "slow_thread", 1)
    worker = stage.worker(scene.app, settings=settings(drain_timeout_ms=50))
    async with worker, running(worker):
        await stage.until(lambda: scene.begun == 1)
    assert stage.held() == 1
    scene.go_on.set()


async def test_tasks_that_were_not_begun_are_handed_back() -> None:
    stage, scene = Stage(), Scene()
    # The worker can run one, and takes over another one whose lease ran out: that one waits here for a slot.
    await stage.start("calls", "slow", 1, instance="first")
    quick = settings(concurrency=1, thread_concurrency=1, task_lease_ms=10_000)
    worker = stage.worker(scene.app, settings=quick, roles={"orchestrations", "activities"})
    async with worker, running(worker):
        await stage.until(lambda: scene.begun == 1)
        await stage.start("calls", "slow", 3, instance="second")
        await stage.until(lambda: len(stage.told(InstancesStarted)) == 2)
        worker.stop()
        await stage.until(lambda: not stage.hub.workers)
        scene.go_on.set()
    assert stage.held() == 0
    assert scene.begun == 1
    async with stage.working(scene.app, "w2"):
        assert await stage.result("second") == ["done"] * 3


class LosesReads(FaultyStore):
    """A receive that is interrupted has taken something that its caller never hears of."""

    async def receive(self, partitions: Sequence[int], count: int, block_ms: int) -> list[Entry]:
        entries = await super().receive(partitions, count, block_ms)
        if entries:
            self.calls["lost"] += len(entries)
            await anyio.sleep_forever()
        return entries

    async def receive_tasks(self, demand: object, block_ms: int) -> list[TaskLease]:
        await anyio.sleep_forever()
        raise AssertionError


async def test_what_an_interrupted_read_had_taken_is_handed_back() -> None:
    stage, scene = Stage(), Scene()
    store = LosesReads(stage.hub, "w1")
    await stage.start("waits")
    async with stage.working(scene.app, store=store):
        await stage.until(lambda: store.calls["lost"] == 1)
        assert stage.held() == 1
    assert stage.held() == 0
    async with stage.working(scene.app, "w2", settings=settings(instance_lease_ms=600_000)):
        await stage.until(lambda: bool(stage.told(InstancesStarted)))


async def test_a_worker_that_leaves_is_no_member_and_no_consumer_any_more() -> None:
    stage, scene = Stage(), Scene()
    async with stage.working(scene.app):
        await stage.until(lambda: "w1" in stage.hub.workers)
    assert stage.hub.workers == {}
    groups = [partition.ready for partition in stage.hub.partitions]
    assert [list(group.consumers) for group in groups] == [[]] * len(groups)


class Stuck(FaultyStore):
    """More is received than fits into a batch, and the first commit is under way until the test goes on."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.hub, "w1")
        self.begun: list[str] = []
        self.go_on = anyio.Event()

    async def receive(self, partitions: Sequence[int], count: int, block_ms: int) -> list[Entry]:
        return await super().receive(partitions, 10, block_ms)

    async def checkout(self, entries: Sequence[Entry], known: Sequence[Position | None]) -> list[Delivery]:
        self.begun += [entry.instance for entry in entries]
        return await super().checkout(entries, known)

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        await self.go_on.wait()
        return await super().commit(commits, demand)

    async def hand_back(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> None:
        # The turn ends at the worst moment: what is given away now must not begin here.
        self.go_on.set()
        await anyio.lowlevel.checkpoint()
        await super().hand_back(entries, tasks)


async def test_instances_whose_turn_has_not_begun_are_handed_back_and_not_begun_any_more() -> None:
    stage, scene = Stage(partitions=1), Scene()
    for number in range(5):
        await stage.start("waits", instance=f"i{number}")
    store = Stuck(stage)
    quick = settings(batch=2, lanes=1, drain_timeout_ms=20)
    async with stage.working(scene.app, store=store, settings=quick):
        await stage.until(lambda: len(store.begun) == 2)
    assert store.begun == ["i0", "i1"]
    assert stage.held() == 0
    again = await MemoryStore(stage.hub, "w2").receive([0], 10, 0)
    assert [(entry.instance, entry.again) for entry in again] == [("i2", False), ("i3", False), ("i4", False)]


class Silent(FaultyStore):
    """Answers nothing any more once `silent` is set."""

    silent = False

    async def leave(self) -> None:
        if self.silent:
            raise StoreUnavailable("no answer")
        await super().leave()

    async def heartbeat(self, ttl_ms: int, skills: Skills) -> Membership:
        if self.silent:
            raise StoreUnavailable("no answer")
        return await super().heartbeat(ttl_ms, skills)


async def test_a_worker_stops_even_when_the_store_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("redurable.worker.drain.FLUSH_SECONDS", 0.1)
    stage, scene = Stage(), Scene()
    store = Silent(stage.hub, "w1")
    async with stage.working(scene.app, store=store, settings=settings(drain_timeout_ms=100)):
        await stage.until(lambda: "w1" in stage.hub.workers)
        store.silent = True
    assert "the store did not answer while this worker stopped" in caplog.text


async def test_stop_before_the_first_heartbeat_was_answered() -> None:
    stage, scene = Stage(), Scene()
    store = Silent(stage.hub, "w1")
    store.silent = True
    worker = stage.worker(scene.app, store=store, settings=settings(drain_timeout_ms=50))
    async with worker, running(worker):
        await stage.until(lambda: bool(stage.facts))
        worker.stop()
        store.silent = False
    assert stage.hub.workers == {}


async def test_cancelling_run_ends_it_without_a_trace_of_its_tasks() -> None:
    stage, scene = Stage(), Scene()
    await stage.start("calls", "slow", 2)
    before = asyncio.all_tasks()
    worker = stage.worker(scene.app)
    async with worker:
        task = asyncio.get_running_loop().create_task(worker.run())
        await stage.until(lambda: scene.begun == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert stage.hub.workers == {}
    assert scene.cancelled == 2
    assert asyncio.all_tasks() == before
