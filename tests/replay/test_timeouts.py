"""Timeouts of activities as the orchestrator sees them: errors of their own, and calls that are closed behind it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from redurable.core.events import ActivityCompleted, ActivityFailed, ActivityScheduled
from redurable.core.limits import NO_END, timed_out
from redurable.core.messages import ActivityFailure, ActivityResult, Terminate
from redurable.core.values import ActivityOptions, Arguments, Attempt, Ending, Failure, RuntimeStatus, Task, Timeouts
from redurable.errors import (
    ActivityCrashed,
    ActivityTimedOut,
    HeartbeatTimeout,
    ScheduleToCloseTimeout,
    ScheduleToStartTimeout,
    StartToCloseTimeout,
)
from redurable.errors import (
    ActivityFailed as ActivityError,
)
from tests.support.story import Ctx, Story, raw, text

LIMITED = ActivityOptions(timeouts=Timeouts(schedule_to_start=1_000, schedule_to_close=5_000))
WATCHED = ActivityOptions(timeouts=Timeouts(start_to_close=1_000, heartbeat=500))


def call(ctx: Ctx, options: ActivityOptions = LIMITED) -> asyncio.Future[str]:
    return ctx.scope.call_activity("A", Arguments(), options, text)


@pytest.mark.parametrize(
    "kind", [ScheduleToStartTimeout, StartToCloseTimeout, ScheduleToCloseTimeout, HeartbeatTimeout, ActivityCrashed]
)
def test_each_can_be_caught_alone_or_as_a_failed_activity(kind: type[ActivityError]) -> None:
    caught: list[ActivityError] = []

    async def careful(ctx: Ctx) -> str:
        base = ActivityTimedOut if issubclass(kind, ActivityTimedOut) else ActivityError
        for expected in (kind, base, ActivityError):
            try:
                await call(ctx)
            except expected as error:
                caught.append(error)
        return "1"

    story = Story(careful)
    story.turn()
    for seq in (1, 2, 3):
        story.turn(ActivityFailure(execution="x1", seq=seq, failure=Failure(kind.__name__, "late", attempts=3)))
    assert story.result() == "1"
    assert {(type(error), error.name, error.attempts, error.type) for error in caught} == {
        (kind, "A", 3, kind.__name__)
    }


def test_an_outcome_closes_its_call_once() -> None:
    async def both(ctx: Ctx) -> str:
        await asyncio.wait([call(ctx), call(ctx), call(ctx, WATCHED), ctx.activity("B")])
        return await ctx.event("End")

    story = Story(both)
    scheduled = [event for event in story.turn().events if isinstance(event, ActivityScheduled)]
    assert [event.timeouts for event in scheduled] == [LIMITED.timeouts, LIMITED.timeouts, WATCHED.timeouts, Timeouts()]
    outcomes = [ActivityResult(execution="x1", seq=seq) for seq in (1, 3, 4)]
    assert story.turn(*outcomes).closed_calls == (1,)
    late = ActivityFailure(execution="x1", seq=2, failure=NO_END)
    commit = story.turn(late, ActivityResult(execution="x1", seq=2), late)
    assert commit.closed_calls == (2,)
    assert [type(event).__name__ for event in commit.events] == ["ActivityFailed"]
    assert story.turn(late).events == ()


def test_an_execution_that_ends_closes_its_calls() -> None:
    async def leave(ctx: Ctx) -> str:
        call(ctx)
        call(ctx, WATCHED)
        await ctx.event("End")
        call(ctx)
        return "1"

    story = Story(leave)
    story.turn()
    commit = story.turn(Terminate())
    assert (commit.status, commit.closed_calls) == (RuntimeStatus.TERMINATED, (1, 2))

    async def hurry(ctx: Ctx) -> str:
        call(ctx)
        return "1"

    commit = Story(hurry).turn()
    assert (commit.status, commit.closed_calls, len(commit.tasks)) == (RuntimeStatus.COMPLETED, (), 0)


def test_what_attempts_were_is_in_the_history() -> None:
    async def once(ctx: Ctx) -> str:
        return await call(ctx)

    log = (Attempt(1, Ending.CRASHED, "w1", 5, 9),)
    story = Story(once)
    story.turn()
    story.turn(ActivityResult(execution="x1", seq=1, result=raw("7"), attempts=2, worker="w2", started=10, log=log))
    (completed,) = [event for event in story.history if isinstance(event, ActivityCompleted)]
    assert (completed.attempts, completed.worker, completed.started, completed.log) == (2, "w2", 10, log)

    story = Story(once)
    story.turn()
    task = Task("story", "x1", 1, "A", Arguments(), LIMITED)
    story.turn(ActivityFailure(execution="x1", seq=1, failure=timed_out(ScheduleToCloseTimeout, task, 1), log=log))
    (failed,) = [event for event in story.history if isinstance(event, ActivityFailed)]
    assert (failed.failure.attempts, failed.worker, failed.started, failed.log) == (1, "", 0, log)


def test_timeouts_may_change_while_an_orchestration_runs() -> None:
    limits = [LIMITED, WATCHED]

    async def twice(ctx: Ctx) -> str:
        await call(ctx, limits[0])
        return await call(ctx, limits[0])

    story = Story(twice)
    story.turn()
    limits[0] = replace(LIMITED, timeouts=Timeouts())
    story.forget()
    # What counts is what was written down when the call was made.
    assert story.turn(ActivityResult(execution="x1", seq=1)).closed_calls == (1,)
    assert story.turn(ActivityResult(execution="x1", seq=2, result=raw("1"))).closed_calls == ()
    assert story.result() == "1"
