"""External events: first in, first out per name, every wait takes its own."""

from __future__ import annotations

import asyncio

from redurable.core.events import ExecutionCompleted
from redurable.core.messages import ActivityResult, Malformed, RaiseEvent
from tests.support.story import Ctx, Story, raw, text


def event(name: str, data: str = "null", event_id: str = "") -> RaiseEvent:
    return RaiseEvent(name=name, data=raw(data), id=event_id)


def result(story: Story) -> str:
    end = story.history[-1]
    assert isinstance(end, ExecutionCompleted)
    return text(end.result)


def test_events_before_the_wait_are_kept_in_order_per_name() -> None:
    async def patient(ctx: Ctx) -> str:
        await ctx.activity("A")
        got = [await ctx.event("a"), await ctx.event("b"), await ctx.event("a")]
        return f"[{','.join(got)}]"

    story = Story(patient)
    story.turn(event("a", "1"), event("a", "2"), event("b", "3"))
    story.turn(ActivityResult(execution="x1", seq=1))
    assert result(story) == "[1,3,2]"


def test_every_wait_reserves_its_own_event_in_call_order() -> None:
    async def two(ctx: Ctx) -> str:
        first, second = ctx.event("e"), ctx.event("e")
        return f"[{await second},{await first}]"

    story = Story(two)
    story.turn()
    story.turn(event("e", "1"))
    story.turn(event("E", "9"), event("e", "2"))
    assert result(story) == "[2,1]"


def test_a_wait_that_was_cancelled_gives_its_slot_back() -> None:
    async def losing(ctx: Ctx) -> str:
        try:
            await asyncio.wait_for(ctx.event("e"), 5)
        except TimeoutError:
            return await ctx.event("e")
        return "0"

    story = Story(losing)
    story.turn()
    story.turn(story.due(1))
    story.turn(event("e", "1"))
    assert result(story) == "1"


def test_an_event_id_is_taken_once() -> None:
    async def count(ctx: Ctx) -> str:
        return f"[{await ctx.event('e')},{await ctx.event('e')}]"

    story = Story(count)
    story.turn(event("e", "1", "i1"))
    story.turn(event("e", "1", "i1"), event("e", "1", "i1"))
    assert story.kinds().count("EventRaised") == 1
    story.turn(event("e", "2", "i2"))
    assert result(story) == "[1,2]"


def test_mail_that_cannot_be_read_becomes_a_dead_letter_and_stops_nobody() -> None:
    async def one(ctx: Ctx) -> str:
        return await ctx.event("e")

    story = Story(one)
    commit = story.turn(Malformed("no field", ((b"x", b"\xff"),)), event("e", "1"))
    assert result(story) == "1"
    assert [(letter.reason, letter.fields) for letter in commit.dead] == [("no field", ((b"x", b"\xff"),))]
    assert commit.consumed.endswith("-2")


def test_events_after_the_end_are_dead_letters() -> None:
    async def one(ctx: Ctx) -> str:
        return await ctx.event("e")

    story = Story(one)
    commit = story.turn(event("e", "1"), event("late", "2"))
    assert commit.consumed.endswith("-2")
    assert [letter.reason for letter in commit.dead] == ["the instance has finished"]
    after = story.turn(event("later", "3"))
    assert after.events == ()
    assert [letter.reason for letter in after.dead] == ["the instance has finished"]
