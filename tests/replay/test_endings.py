"""What is still under way when an execution ends, and errors that nobody waited for: no line of it runs afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import anyio
import pytest

from redurable.core.events import ExecutionCompleted
from redurable.core.messages import ActivityResult, RaiseEvent, Terminate
from redurable.core.values import RuntimeStatus
from tests.support.story import Ctx, Story, raw

ran: list[str] = []


async def pending(ctx: Ctx, name: str) -> None:
    try:
        await ctx.activity(name)
    finally:
        ran.append(name)


async def items(ctx: Ctx) -> AsyncGenerator[str, None]:
    try:
        while True:
            yield await ctx.activity("item")
    finally:
        ran.append("generator")


async def begin_much(ctx: Ctx) -> list[object]:
    """Tasks, timers, waits and a generator that nothing will come of."""
    left: list[object] = [asyncio.create_task(pending(ctx, name)) for name in ("one", "two")]
    left += [asyncio.create_task(asyncio.sleep(60)), ctx.event("never"), ctx.timer(90), items(ctx)]
    await asyncio.sleep(0)
    return left


@pytest.mark.parametrize("how", ["return", "raise", "terminate"])
def test_what_is_pending_at_the_end_is_dropped_and_runs_no_more(how: str) -> None:
    async def body(ctx: Ctx) -> str:
        left = await begin_much(ctx)
        await ctx.event("End")
        if how == "raise":
            raise ValueError(len(left))
        return str(len(left))

    ran.clear()
    story = Story(body)
    assert [task.name for task in story.turn().tasks] == ["one", "two"]
    commit = story.turn(Terminate(reason="enough") if how == "terminate" else RaiseEvent(name="End", data=raw("1")))
    assert (
        story.status
        is {
            "return": RuntimeStatus.COMPLETED,
            "raise": RuntimeStatus.FAILED,
            "terminate": RuntimeStatus.TERMINATED,
        }[how]
    )
    assert len(commit.canceled_timers) == 2
    late = story.turn(ActivityResult(execution="x1", seq=1, result=raw("1")))
    assert (late.events, late.consumed != "") == ((), True)
    assert ran == []


def test_a_task_group_that_is_left_waits_for_its_children() -> None:
    """Structured concurrency is the way to have all of it finished."""

    async def body(ctx: Ctx) -> str:
        async with anyio.create_task_group() as group:
            group.start_soon(pending, ctx, "one")
            group.start_soon(pending, ctx, "two")
        return "1"

    ran.clear()
    story = Story(body)
    story.play()
    assert set(ran) == {"one", "two"}


def test_an_error_that_nobody_awaits_is_noted_and_stops_nobody() -> None:
    async def fails(ctx: Ctx) -> None:
        await ctx.activity("A")
        raise ValueError("lost")

    async def body(ctx: Ctx) -> str:
        asyncio.get_running_loop().call_soon(asyncio.ensure_future, fails(ctx))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_exception(KeyError("nobody asks"))
        del future
        await ctx.event("End")
        return "1"

    story = Story(body)
    story.turn()
    noted = story.notes
    story.turn(ActivityResult(execution="x1", seq=1, result=raw("1")))
    assert story.notes == ("task Task-2 failed, and nobody awaits it so far: ValueError('lost')",)
    story.forget()
    story.turn(RaiseEvent(name="End", data=raw("1")))
    assert story.notes == (), "what happened in the past was told when it was new"
    assert isinstance(story.history[-1], ExecutionCompleted)
    assert noted == ("DurableFuture exception was never retrieved: KeyError('nobody asks')",)
