"""External events, select and join on the real engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from redurable import ActivityFailed, App, InvalidPayload, OrchestrationContext
from redurable.core.messages import ActivityFailure, TimerDue
from redurable.core.values import Failure, RuntimeStatus
from tests.support.app_story import AppStory, event
from tests.support.story import T0


def test_events_with_a_deadline() -> None:
    app = App("orders")

    @app.orchestrator
    async def process(ctx: OrchestrationContext) -> list[object]:
        late = ""
        in_time = await ctx.wait_for_external_event("Approval", bool, timeout=timedelta(hours=1))
        try:
            await ctx.wait_for_external_event("Approval", bool, timeout=timedelta(hours=1))
        except TimeoutError as error:
            late = str(error)
        kept = await ctx.wait_for_external_event("Early", list[int], timeout=timedelta(hours=1))
        gone = ctx.wait_for_external_event("Approval", str, timeout=timedelta(hours=1))
        gone.cancel()
        plain = await ctx.wait_for_external_event("Approval")
        return [in_time, late, kept, plain]

    story = AppStory(process)
    assert [timer.due - T0 for timer in story.turn().timers] == [3_600_000]
    assert story.turn(event("Approval", "true")).canceled_timers == (1,)
    assert story.turn(event("Early", "[1,2]")).timers == ()
    commit = story.turn(story.due(2))
    assert commit.timers == ()
    story.turn(event("Approval", '"x"'))
    assert story.result() == '[true,"no event \'Approval\' came within 1:00:00",[1,2],"x"]'


def test_an_event_that_does_not_fit_fails_its_wait_only() -> None:
    app = App("orders")
    told: list[str] = []

    @app.orchestrator
    async def process(ctx: OrchestrationContext) -> int:
        try:
            return await ctx.wait_for_external_event("Count", int, timeout=timedelta(hours=1))
        except InvalidPayload as error:
            told.append(str(error))
        return await ctx.wait_for_external_event("Count", int)

    story = AppStory(process)
    story.turn()
    assert story.turn(event("Count", '"many"')).canceled_timers == (1,)
    story.turn(event("Count", "3"))
    assert story.result() == "3"
    assert "event 'Count': data does not accept \"many\"" in told[0]


def test_select_is_decided_by_the_history_and_cancels_the_losers() -> None:
    app = App("orders")

    @app.orchestrator
    async def process(ctx: OrchestrationContext) -> list[object]:
        first = await ctx.select(
            ctx.create_timer(timedelta(minutes=5)),
            ctx.wait_for_external_event("Cancel", str),
            ctx.call_activity("Work"),
        )
        second = await ctx.select(ctx.call_activity("Slow"), ctx.wait_for_external_event("Cancel", str))
        with pytest.raises(ActivityFailed, match="Fails failed: Boom: no"):
            await ctx.select(ctx.call_activity("Fails"), ctx.create_timer(timedelta(minutes=5)))
        async with asyncio.timeout(1):
            await ctx.select(ctx.wait_for_external_event("Never"), asyncio.sleep(0.5))
        return [first, second]

    story = AppStory(process)
    story.turn()
    commit = story.turn(event("Cancel", '"now"'), event("Cancel", '"again"'), story.done(2, "1"))
    assert commit.canceled_timers == (1,)
    assert [task.name for task in commit.tasks] == ["Fails"], "a loser of this very turn is not even begun"
    commit = story.turn(ActivityFailure(execution="x1", seq=4, failure=Failure("Boom", "no")))
    assert commit.canceled_timers == (5,)
    half = next(timer.seq for timer in commit.timers if timer.due == story.now + 500)
    story.turn(story.due(half))
    assert story.result() == '[[1,"now"],[1,"again"]]'


def test_a_cancelled_select_cancels_all_it_waits_for() -> None:
    app = App("orders")

    @app.orchestrator
    async def process(ctx: OrchestrationContext) -> str:
        try:
            async with asyncio.timeout(60):
                await ctx.select(ctx.create_timer(timedelta(hours=1)), ctx.wait_for_external_event("A", str))
        except TimeoutError:
            return await ctx.wait_for_external_event("A", str)
        return "no timeout"

    story = AppStory(process)
    short, long = sorted(story.turn().timers, key=lambda timer: timer.due)
    assert story.turn(story.due(short.seq)).canceled_timers == (long.seq,)
    story.turn(event("A", '"a"'))
    assert story.result() == '"a"'


def test_join_collects_in_the_order_of_the_history() -> None:
    app = App("orders")

    @app.orchestrator
    async def process(ctx: OrchestrationContext) -> list[object]:
        nothing: list[Awaitable[int]] = []
        empty = await ctx.join(*nothing)
        joined = await ctx.join(*(ctx.call_activity("Work", n) for n in range(3)))
        try:
            await ctx.join(*(ctx.call_activity("Fails", n) for n in range(2)))
        except ActivityFailed as error:
            return [empty, joined, error.message]
        return []

    story = AppStory(process)
    story.turn()
    story.turn(story.done(3, '"c"'), story.done(1, '"a"'))
    story.turn(story.done(2, '"b"'))
    story.turn(ActivityFailure(execution="x1", seq=5, failure=Failure("Boom", "second")))
    assert story.result() == '[[],["c","a","b"],"second"]'


def test_a_deadline_that_comes_with_the_event_loses_neither() -> None:
    app = App("orders")

    @app.orchestrator
    async def process(ctx: OrchestrationContext) -> str:
        return await ctx.wait_for_external_event("A", str, timeout=timedelta(seconds=1))

    for messages, expected in (
        ((event("A", '"in time"'), TimerDue(execution="x1", seq=1, due=T0 + 1000)), RuntimeStatus.COMPLETED),
        ((TimerDue(execution="x1", seq=1, due=T0 + 1000), event("A", '"late"')), RuntimeStatus.FAILED),
    ):
        story = AppStory(process)
        story.turn()
        story.turn(*messages, after=1)
        assert story.status is expected
