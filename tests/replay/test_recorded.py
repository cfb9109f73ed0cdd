"""Histories in files: what is read of them, what is refused, and where changed code parts from them.

That code replays its own history, however it ended, every story checks at its end.
"""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from redurable.core.messages import ActivityResult, Cancel, RaiseEvent, Terminate
from redurable.core.recorded import Recorded, line_of, read_lines, replay
from redurable.core.values import RuntimeStatus
from redurable.errors import InvalidHistory, NondeterminismError
from tests.support.story import Ctx, Story, TextDefinition, raw


async def chain(ctx: Ctx) -> str:
    first = await ctx.activity("A", "1")
    return await ctx.activity("B", first)


async def swapped(ctx: Ctx) -> str:
    first = await ctx.activity("B", "1")
    return await ctx.activity("A", first)


async def more(ctx: Ctx) -> str:
    result = await chain(ctx)
    await ctx.activity("C")
    return result


async def less(ctx: Ctx) -> str:
    return await ctx.activity("A", "1")


def told(story: Story) -> Recorded:
    return Recorded(story.instance, story.execution, tuple(story.history))


def lines(story: Story, size: int = 2) -> list[bytes]:
    return [
        msgspec.json.encode(line_of(story.instance, story.execution, at, story.history[at : at + size]))
        for at in range(0, len(story.history), size)
    ]


def completed() -> Story:
    story = Story(chain)
    story.play()
    return story


def test_what_is_written_is_read_again() -> None:
    one, other = completed(), Story(chain, instance="other")
    other.turn()
    note = b'{"v":1,"type":"instance","instance":"story"}'
    found = read_lines([*lines(one), b"\n", note, *lines(other)])
    assert found == [told(one), told(other)]
    assert [recorded.name for recorded in found] == ["Story", "Story"]


def test_the_last_of_several_copies_counts() -> None:
    story = completed()
    shorter = [line_of(story.instance, story.execution, 0, story.history[:3])]
    copies = [*lines(story, 100), *(msgspec.json.encode(line) for line in shorter)]
    assert [len(found.events) for found in read_lines(copies)] == [3]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "line 1 holds no events of a history"),
        (b"[]", "line 1"),
        (b'{"v":2,"type":"history"}', "it is of version 2, this release reads 1"),
        (b'{"v":1,"type":"history","events":[{"type":"Nonsense"}]}', "line 1"),
        (b'{"v":1,"type":"history","position":7,"events":[]}', "it begins at event 7, and the lines before have 0"),
        (
            b'{"v":1,"type":"history","instance":"a","events":[{"type":"TimerFired","at":1,"seq":1}]}',
            "ExecutionStarted",
        ),
        (b"\xff", "line 1"),
    ],
)
def test_what_cannot_be_read_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(InvalidHistory, match=why):
        read_lines([text])
    assert read_lines([]) == []


@pytest.mark.parametrize(
    ("body", "position", "expected", "asked"),
    [(swapped, 1, "'A'", "'B'"), (more, 5, "ExecutionCompleted", "'C'"), (less, 3, "'B'", "Complete")],
)
def test_changed_code_parts_from_the_history(body: object, position: int, expected: str, asked: str) -> None:
    with pytest.raises(NondeterminismError) as caught:
        replay(TextDefinition(body), told(completed()))  # pyright: ignore[reportArgumentType]
    error = caught.value
    assert error.position == position
    assert expected in error.expected
    assert asked in error.asked


def test_code_may_differ_in_what_has_not_come_yet() -> None:
    story = Story(chain)
    story.turn()
    replay(TextDefinition(more), told(story))
    with pytest.raises(NondeterminismError):
        replay(TextDefinition(swapped), told(story))


@pytest.mark.parametrize("end", [Terminate(reason="no stock"), Cancel(reason="no stock", id="c")])
def test_one_that_ended_before_it_ran_says_nothing_of_the_code(end: Terminate | Cancel) -> None:
    story = Story(chain)
    story.turn(end)
    assert story.status in (RuntimeStatus.TERMINATED, RuntimeStatus.CANCELED)
    replay(TextDefinition(swapped), told(story))


def test_one_that_was_terminated_amid_its_work_is_compared_until_there() -> None:
    story = Story(chain)
    story.turn()
    story.turn(ActivityResult(execution="x1", seq=1, result=raw("1")))
    story.turn(Terminate(reason="no stock"))
    replay(TextDefinition(more), told(story))
    with pytest.raises(NondeterminismError):
        replay(TextDefinition(swapped), told(story))


def test_user_code_that_is_left_suspended_runs_nothing_of_its_cleanup() -> None:
    cleaned: list[str] = []

    async def careful(ctx: Ctx) -> str:
        try:
            await ctx.event("Go")
            await asyncio.sleep(1)
        finally:
            cleaned.append("cleaned")
        return "1"

    story = Story(careful)
    story.turn()
    story.turn(RaiseEvent(name="Go", data=raw("1")))
    story.forget()
    replay(TextDefinition(careful), told(story))
    assert cleaned == []
