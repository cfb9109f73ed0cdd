"""Timers: created, fired once, cancelled; plain asyncio and anyio time limits are durable timers."""

from __future__ import annotations

import asyncio

import anyio

from redurable.core.events import TimerCreated, TimerFired
from redurable.core.messages import ActivityResult, RaiseEvent, TimerDue
from redurable.core.values import RuntimeStatus
from tests.support.story import T0, Ctx, Story, raw


def test_sleep_is_a_durable_timer_and_the_clock_follows_it() -> None:
    async def naps(ctx: Ctx) -> str:
        await asyncio.sleep(60)
        await asyncio.sleep(0)
        await ctx.timer(7 * 86400)
        return str(ctx.scope.clock)

    story = Story(naps)
    first = story.turn()
    assert [(timer.seq, timer.due) for timer in first.timers] == [(1, T0 + 60_000)]
    story.turn(story.due(1), after=5)
    assert [e.due for e in story.history if isinstance(e, TimerCreated)] == [
        T0 + 60_000,
        T0 + 60_000 + 5_000 + 604_800_000,
    ]
    last = story.turn(story.due(2))
    assert last.status is RuntimeStatus.COMPLETED
    assert story.kinds().count("TimerFired") == 2


def test_a_timer_that_fires_before_the_servers_clock_says_so_moves_the_clock_to_its_due_time() -> None:
    async def nap(ctx: Ctx) -> str:
        await ctx.timer(10)
        return str(ctx.scope.clock - T0)

    story = Story(nap)
    story.turn()
    story.turn(TimerDue(execution="x1", seq=1, due=T0 + 10_000))
    fired = next(e for e in story.history if isinstance(e, TimerFired))
    assert fired.at == T0 + 10_000


def test_a_timer_fires_once_and_a_cancelled_one_never() -> None:
    async def hurried(ctx: Ctx) -> str:
        try:
            async with asyncio.timeout(30):
                await ctx.activity("quick")
        except TimeoutError:
            return "0"
        await ctx.timer(5)
        return "1"

    story = Story(hurried)
    first = story.turn()
    assert [timer.seq for timer in first.timers] == [1]
    due = story.due(1)
    second = story.turn(ActivityResult(execution="x1", seq=2, result=raw("1")), due)
    assert second.canceled_timers == (1,)
    assert "TimerFired" not in story.kinds()
    third = story.turn(due, story.due(3), story.due(3))
    assert third.status is RuntimeStatus.COMPLETED
    assert story.kinds().count("TimerFired") == 1


def test_a_timer_made_and_cancelled_in_one_step_is_not_recorded() -> None:
    async def brief(ctx: Ctx) -> str:
        async with asyncio.timeout(3600):
            await asyncio.sleep(0)
        await ctx.activity("A")
        return "1"

    story = Story(brief)
    commit = story.turn()
    assert commit.timers == ()
    assert story.kinds() == ["ExecutionStarted", "ActivityScheduled"]


def test_a_timer_made_and_cancelled_in_two_steps_of_one_turn_is_not_written() -> None:
    async def brief(ctx: Ctx) -> str:
        async with asyncio.timeout(3600):
            await ctx.event("go")
            await ctx.event("on")
        await ctx.activity("A")
        return "1"

    story = Story(brief)
    commit = story.turn(RaiseEvent(name="go"), RaiseEvent(name="on"))
    assert commit.timers == ()
    assert commit.canceled_timers == ()
    assert story.kinds()[1:] == ["TimerCreated", "EventRaised", "EventRaised", "TimerCanceled", "ActivityScheduled"]


def test_anyio_scopes_and_groups_work_on_durable_timers() -> None:
    async def body(ctx: Ctx) -> str:
        with anyio.move_on_after(100) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 50)
                group.start_soon(anyio.sleep, 5000)
        return "1" if scope.cancelled_caught else "0"

    story = Story(body)
    assert sorted(timer.due - T0 for timer in story.turn().timers) == [50_000, 100_000, 5_000_000]
    seqs = {event.due - T0: event.seq for event in story.history if isinstance(event, TimerCreated)}
    story.turn(story.due(seqs[50_000]))
    last = story.turn(story.due(seqs[100_000]))
    assert last.status is RuntimeStatus.COMPLETED
    assert last.canceled_timers == (seqs[5_000_000],)


def test_timers_that_are_open_at_the_end_are_removed() -> None:
    async def leaves(ctx: Ctx) -> str:
        asyncio.create_task(asyncio.sleep(500))  # noqa: RUF006 - the orphan is the point
        await ctx.activity("A")
        return "1"

    story = Story(leaves)
    story.turn()
    last = story.turn(ActivityResult(execution="x1", seq=1, result=raw("1")))
    assert last.canceled_timers == (2,)
