"""Code that disagrees with its history, or is unknown, leaves the mail where it is and never fails the instance."""

from __future__ import annotations

import pytest

from redurable.core.messages import ActivityResult, RaiseEvent, Resume, Suspend, Terminate
from redurable.core.values import ActivityOptions, Arguments, RuntimeStatus
from tests.support.story import Body, Ctx, Story, TextDefinition, raw, text

ONE = Arguments(input=raw("1"))


async def original(ctx: Ctx) -> str:
    await ctx.activity("A", "1")
    return await ctx.activity("B", "2")


async def renamed(ctx: Ctx) -> str:
    await ctx.scope.call_activity("Z", ONE, ActivityOptions(), text)
    return "1"


async def other_argument(ctx: Ctx) -> str:
    await ctx.scope.call_activity("A", Arguments(input=raw("10")), ActivityOptions(), text)
    return "1"


async def nothing(ctx: Ctx) -> str:
    await ctx.event("never")
    return "1"


async def more(ctx: Ctx) -> str:
    ctx.scope.call_activity("Extra", Arguments(input=raw("3")), ActivityOptions(), text)
    return await ctx.activity("A", "1")


@pytest.mark.parametrize(
    ("changed", "said", "asked"),
    [
        (renamed, "event 1 of the history is ActivityScheduled seq=1 name='A' (1)", "ScheduleActivity name='Z' (1)"),
        (other_argument, "event 1 of the history is ActivityScheduled seq=1 name='A' (1)", "name='A' (10)"),
        (nothing, "event 1 of the history is ActivityScheduled", "the code asked for nothing"),
        (more, "the history has no event 2", "ScheduleActivity name='Extra' (3)"),
    ],
)
def test_the_difference_names_event_command_position_and_line(changed: Body, said: str, asked: str) -> None:
    story = Story(original)
    story.turn()
    story.forget()
    story.definition = TextDefinition(changed)
    commit = story.turn(ActivityResult(execution="x1", seq=1, result=raw("1")))
    assert commit.park is not None
    assert commit.park.reason == "nondeterminism"
    assert said in commit.park.detail
    assert asked in commit.park.detail
    if changed is not nothing:
        line = changed.__code__.co_firstlineno + 1
        assert f"{__file__}:{line}, in {changed.__qualname__}" in commit.park.detail
    assert (commit.consumed, commit.events, commit.status) == ("", (), None)


def test_a_roll_back_heals_it() -> None:
    story = Story(original)
    story.turn()
    story.forget()
    story.definition = TextDefinition(renamed)
    outcome = ActivityResult(execution="x1", seq=1, result=raw("1"))
    waits = [park.retry_ms for _ in range(8) if (park := story.turn(outcome).park)]
    assert waits == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]
    story.definition = TextDefinition(original)
    assert [task.name for task in story.turn(outcome).tasks] == ["B"]


def test_unknown_code_parks_but_can_be_terminated() -> None:
    story = Story(None)
    commit = story.turn(RaiseEvent(name="e"))
    assert commit.park is not None
    assert "'Story'" in commit.park.detail
    assert commit.consumed == ""
    ended = story.turn(RaiseEvent(name="e"), Terminate(reason="enough"))
    assert ended.status is RuntimeStatus.TERMINATED
    assert ended.start_consumed
    assert ended.consumed.endswith("-3")


def test_unknown_code_can_be_suspended_and_then_only_records() -> None:
    story = Story(original)
    story.turn()
    story.forget()
    known, story.definition = story.definition, None
    held = story.turn(ActivityResult(execution="x1", seq=1, result=raw("1")), Suspend(reason="hold"))
    assert held.status is RuntimeStatus.SUSPENDED
    assert [type(e).__name__ for e in held.events] == ["ExecutionSuspended", "ActivityCompleted"]
    blocked = story.turn(Resume())
    assert blocked.park is not None
    story.definition = known
    assert [task.name for task in story.turn(Resume()).tasks] == ["B"]


def test_a_set_may_come_in_another_order_in_another_process() -> None:
    def passing(*given: str) -> Body:
        async def passes_sets(ctx: Ctx) -> str:
            call = Arguments(args=(raw(given[0]), raw("1")), kwargs={"k": raw(given[1])})
            calls = [ctx.scope.call_activity("A", call, ActivityOptions(), text)]
            calls += [ctx.activity("A", one) for one in given[2:]]
            ctx.scope.send_event("other", "e", raw(given[0]))
            return str([await call for call in calls])

        return passes_sets

    story = Story(passing('["a","b"]', '{"x":[1,{"y":[2,3]}]}', "[1,2]", "[2,1]"))
    story.ends_with_replay = False
    story.turn()
    story.forget()
    story.definition = TextDefinition(passing('["b","a"]', '{"x":[{"y":[3,2]},1]}', "[2,1]", "[1,2]"))
    commit = story.turn(*(ActivityResult(execution="x1", seq=seq, result=raw(str(seq))) for seq in (1, 2, 3)))
    assert commit.park is None
    assert story.result() == "['1', '3', '2']", "what is said exactly comes first"


@pytest.mark.parametrize("given", ['["a","c"]', '["a"]', '["a","b","b"]', '{"a":"b"}', '"ab"'])
def test_other_members_are_another_call(given: str) -> None:
    story = Story(lambda ctx: ctx.activity("A", '["a","b"]'))  # pyright: ignore[reportArgumentType]
    story.turn()
    story.forget()
    story.definition = TextDefinition(lambda ctx: ctx.activity("A", given))  # pyright: ignore[reportArgumentType]
    assert story.turn(RaiseEvent(name="e")).park is not None
