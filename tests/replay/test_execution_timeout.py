"""An execution with a deadline: a timer of no command, which ends it from outside, through continue-as-new."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from redurable.core.delivery import Timer
from redurable.core.events import ExecutionFailed, ExecutionStarted
from redurable.core.messages import (
    ActivityResult,
    RaiseEvent,
    Resume,
    StartExecution,
    SubOrchestrationFailure,
    Suspend,
    TimerDue,
)
from redurable.core.values import Arguments, Child, Parent, RuntimeStatus
from tests.support.story import T0, Body, Ctx, Story, raw

HOUR = 3_600_000


def limited(body: Body | None, **fields: Any) -> Story:
    story = Story(body)
    assert story.start is not None
    story.start = replace(story.start, execution_timeout=HOUR, **fields)
    return story


def out_of_time(story: Story) -> TimerDue:
    story.now = T0 + HOUR
    return TimerDue(execution=story.execution, seq=0, due=T0 + HOUR)


async def wait(ctx: Ctx) -> str:
    ctx.timer(7200)
    ctx.activity("A")
    return await ctx.event("Go")


def test_it_fails_when_its_time_is_over() -> None:
    parent = Parent("boss", "x0", 7)
    story = limited(wait, parent=parent)
    commit = story.turn()
    assert commit.timers == (Timer(0, T0 + HOUR), Timer(1, T0 + 2 * HOUR))
    commit = story.turn(out_of_time(story), RaiseEvent(name="Go", data=raw("1")))
    end = story.history[-1]
    assert isinstance(end, ExecutionFailed)
    assert (story.status, end.failure.type, end.at) == (RuntimeStatus.FAILED, "ExecutionTimedOut", T0 + HOUR)
    assert (set(commit.canceled_timers), commit.closed_calls) == ({0, 1}, (2,))
    assert [letter.reason for letter in commit.dead] == ["the instance has finished"]
    (told,) = commit.outbox
    assert told.instance == "boss"
    assert told.message == SubOrchestrationFailure(execution="x0", seq=7, failure=end.failure)


def test_an_end_in_time_takes_the_timer_away() -> None:
    story = limited(wait)
    story.turn()
    commit = story.turn(RaiseEvent(name="Go", data=raw("1")))
    assert (story.status, set(commit.canceled_timers)) == (RuntimeStatus.COMPLETED, {0, 1})

    async def hurry(ctx: Ctx) -> str:
        return "1"

    commit = limited(hurry).turn()
    assert (commit.timers, commit.canceled_timers) == ((), ())


def test_the_deadline_goes_through_continue_as_new() -> None:
    async def again(ctx: Ctx) -> str:
        await ctx.event("Go")
        ctx.scope.continue_as_new(Arguments(input=raw("1")), True)

    story = limited(again)
    story.turn()
    commit = story.turn(RaiseEvent(name="Go"), after=60)
    assert commit.canceled_timers == (0,)
    assert commit.next is not None
    assert (commit.next.deadline, commit.next.execution_timeout) == (T0 + HOUR, 0)
    assert story.turn(after=60).timers == (Timer(0, T0 + HOUR),)
    started = story.history[0]
    assert isinstance(started, ExecutionStarted)
    assert started.deadline == T0 + HOUR
    story.turn(out_of_time(story))
    assert story.status is RuntimeStatus.FAILED


def test_a_due_time_of_another_execution_means_nothing() -> None:
    story = limited(wait)
    story.turn()
    assert story.turn(replace(out_of_time(story), execution="x0")).events == ()
    assert story.status is RuntimeStatus.RUNNING


def test_it_ends_suspended_and_parked_instances_too() -> None:
    story = limited(wait)
    story.turn()
    story.turn(Suspend())
    story.turn(out_of_time(story))
    assert story.status is RuntimeStatus.FAILED

    for suspended in (False, True):
        story = limited(wait)
        story.turn()
        if suspended:
            story.turn(Suspend())
        story.forget()
        story.definition = None
        story.turn(ActivityResult(execution="x1", seq=2, result=raw("1")))
        commit = story.turn(out_of_time(story), Resume())
        assert (story.status, commit.park) == (RuntimeStatus.FAILED, None)
        assert isinstance(story.history[-1], ExecutionFailed)


def test_children_have_their_own() -> None:
    async def parent(ctx: Ctx) -> str:
        ctx.scope.start_orchestration("Detached", Arguments(), Child("d", execution_timeout=5_000))
        ctx.scope.call_sub_orchestrator("Child", Arguments(), Child("c", execution_timeout=7_000), str)
        return await ctx.event("Go")

    starts = [sent.message for sent in Story(parent).turn().outbox]
    assert [start.execution_timeout for start in starts if isinstance(start, StartExecution)] == [5_000, 7_000]
