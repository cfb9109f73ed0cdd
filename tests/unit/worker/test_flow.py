"""Whole orchestrations through a worker over the store in memory."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from redurable.authoring.activity_context import ActivityContext
from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.authoring.policies import RetryPolicy
from redurable.core.events import ActivityScheduled, ExecutionFailed
from redurable.core.messages import Suspend, Terminate
from redurable.core.values import RuntimeStatus
from redurable.facts import (
    ActivityAttempted,
    InstancesFinished,
    InstancesStarted,
    MessagesRelayed,
    TaskStarted,
    TimersFired,
    TurnsTaken,
)
from tests.unit.worker.stage import Stage, settings

app = App("stage", default_retry=RetryPolicy(max_attempts=2, initial_interval=timedelta(milliseconds=1)))


@app.activity
async def greet(name: str) -> str:
    return f"Hello {name}!"


@app.activity
def thread_of(name: str) -> str:
    assert ActivityContext.current().instance_id == "one"
    return f"{name} {threading.current_thread() is threading.main_thread()}"


@app.activity
async def fail(text: str) -> None:
    raise RuntimeError(f"{text} {ActivityContext.current().attempt}")


@app.orchestrator
async def sequence(ctx: OrchestrationContext, names: list[str]) -> list[str]:
    return [await ctx.call_activity(greet, name) for name in names]


@app.orchestrator
async def fan_out(ctx: OrchestrationContext, width: int) -> list[str]:
    return list(await asyncio.gather(*(ctx.call_activity(greet, str(number)) for number in range(width))))


@app.orchestrator
async def sleeper(ctx: OrchestrationContext, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return await ctx.call_activity(thread_of, "awake")


@app.orchestrator
async def parent(ctx: OrchestrationContext, children: int) -> list[list[str]]:
    calls = [ctx.call_sub_orchestrator(sequence, [str(number)]) for number in range(children)]
    return list(await asyncio.gather(*calls))


@app.orchestrator
async def waiter(ctx: OrchestrationContext) -> int:
    return await ctx.wait_for_external_event("Go", int)


@app.orchestrator
async def failing(ctx: OrchestrationContext) -> None:
    await ctx.call_activity(fail, "attempt")


@app.orchestrator
async def counting(ctx: OrchestrationContext, left: int) -> str:
    await ctx.call_activity(greet, str(left))
    if left:
        ctx.continue_as_new(left - 1)
    return "counted"


async def test_a_sequence() -> None:
    stage = Stage()
    await stage.start("sequence", ["Tokyo", "Seattle"])
    async with stage.working(app):
        assert await stage.result() == ["Hello Tokyo!", "Hello Seattle!"]
    assert stage.held() == 0
    assert stage.told(InstancesStarted) == [InstancesStarted((("sequence", "client"),))]
    ((name, status, seconds, instance, _),) = stage.told(InstancesFinished)[0].ends
    assert (name, status, instance) == ("sequence", "Completed", "one")
    assert 0 <= seconds < 10
    assert [fact.outcome for fact in stage.told(ActivityAttempted)] == ["ok", "ok"]
    assert [fact.queue for fact in stage.told(TaskStarted)] == ["default", "default"]
    turns = [turn for fact in stage.told(TurnsTaken) for turn in fact.turns]
    assert [(turn.name, turn.result) for turn in turns] == [("sequence", "ok")] * 3


async def test_a_wide_fan_out_of_many_instances() -> None:
    stage = Stage()
    async with stage.working(app):
        for number in range(20):
            await stage.start("fan_out", 30, instance=f"wide-{number}")
        for number in range(20):
            assert await stage.result(f"wide-{number}") == [f"Hello {index}!" for index in range(30)]
    assert stage.held() == 0
    for number in range(20):
        scheduled = [event for event in await stage.history(f"wide-{number}") if isinstance(event, ActivityScheduled)]
        assert len(scheduled) == 30


async def test_a_timer_and_an_activity_in_a_thread() -> None:
    stage = Stage()
    await stage.start("sleeper", 0.1)
    async with stage.working(app):
        assert await stage.result() == "awake False"
    assert [len(fired.lateness) for fired in stage.told(TimersFired)] == [1]


async def test_sub_orchestrations_in_other_partitions() -> None:
    stage = Stage()
    await stage.start("parent", 8)
    async with stage.working(app):
        assert await stage.result() == [[f"Hello {number}!"] for number in range(8)]
    assert sum(fact.count for fact in stage.told(MessagesRelayed)) == 16
    assert [len(partition.outbox) for partition in stage.hub.partitions] == [0, 0, 0, 0]


async def test_an_event_from_the_intake() -> None:
    stage = Stage()
    await stage.start("waiter")
    async with stage.working(app):
        await stage.store.xadd_intake({b"instance": b"one", b"event": b"Go", b"data": b"7"})
        assert await stage.result() == 7
        await stage.store.xadd_intake({b"instance": b"one"})
        await stage.until(lambda: len(stage.hub.dead) == 1)


async def test_mail_that_a_foreign_client_told_nobody_of_is_swept() -> None:
    stage = Stage()
    await stage.start("waiter")
    async with stage.working(app) as worker:
        await stage.until(lambda: bool(stage.told(InstancesStarted)))
        assert worker.settings.sweep_every_ms <= 1000
        await stage.store.xadd_mailbox("one", {b"event": b"Go", b"data": b"8"})
        assert await stage.result() == 8


async def test_an_activity_that_fails_for_good_fails_its_orchestration() -> None:
    stage = Stage()
    await stage.start("failing")
    async with stage.working(app):
        snapshot = await stage.until_finished()
    assert isinstance(snapshot.last, ExecutionFailed)
    cause = snapshot.last.failure.cause
    assert cause is not None
    assert (cause.type, cause.message, cause.attempts) == ("RuntimeError", "attempt 2", 2)
    assert [(fact.outcome, fact.retried) for fact in stage.told(ActivityAttempted)] == [
        ("error", True),
        ("error", False),
    ]


async def test_continue_as_new() -> None:
    stage = Stage()
    await stage.start("counting", 3)
    async with stage.working(app):
        assert await stage.result() == "counted"
    ends = [end for fact in stage.told(InstancesFinished) for end in fact.ends]
    assert [status for _, status, *_ in ends] == ["ContinuedAsNew"] * 3 + ["Completed"]
    assert len(await stage.store.executions("one")) == 4


async def test_suspend_and_terminate() -> None:
    stage = Stage()
    await stage.start("waiter")
    async with stage.working(app):
        await stage.until(lambda: bool(stage.told(InstancesStarted)))
        await stage.send("one", Suspend(reason="audit"))
        await stage.raise_event("one", "Go", 1)
        await stage.until_seen("one", lambda seen: seen.status is RuntimeStatus.SUSPENDED and seen.unread == 0)
        await stage.send("one", Terminate(reason="no stock"))
        assert (await stage.until_finished()).status is RuntimeStatus.TERMINATED


async def test_workers_with_one_role_each() -> None:
    stage = Stage()
    await stage.start("parent", 5)
    async with (
        stage.working(app, "turns", roles={"orchestrations"}),
        stage.working(app, "tasks-activities", roles={"activities"}),
    ):
        assert await stage.result() == [[f"Hello {number}!"] for number in range(5)]
    assert stage.held() == 0


async def test_several_workers_share_the_partitions() -> None:
    stage = Stage(partitions=16)
    async with stage.working(app, "w1"), stage.working(app, "w2"), stage.working(app, "w3"):
        for number in range(60):
            await stage.start("sequence", ["a", "b", "c"], instance=f"shared-{number}")
        for number in range(60):
            assert await stage.result(f"shared-{number}") == ["Hello a!", "Hello b!", "Hello c!"]
    assert stage.held() == 0


@pytest.mark.parametrize("cached", [1, 10_000])
async def test_a_cache_of_one_replay_changes_nothing(cached: int) -> None:
    stage = Stage()
    async with stage.working(app, settings=settings(cache_instances=cached)):
        for number in range(10):
            await stage.start("sequence", ["a", "b", "c", "d"], instance=f"small-{number}")
        for number in range(10):
            assert len(await stage.result(f"small-{number}")) == 4
