"""An instance goes back to a place of its history that somebody chose."""

from __future__ import annotations

import pytest

from redurable.core.events import ExecutionContinuedAsNew, ExecutionReset
from redurable.core.messages import (
    ActivityFailure,
    ActivityResult,
    Cancel,
    RaiseEvent,
    Rewind,
    StartExecution,
    SubOrchestrationResult,
    Suspend,
    Terminate,
)
from redurable.core.places import before
from redurable.core.state import State
from redurable.core.values import Failure, Parent, ParentClose, RuntimeStatus
from redurable.errors import InvalidPosition
from tests.support.story import T0, Ctx, Story, raw, text


def done(story: Story, seq: int, result: str = "1") -> ActivityResult:
    return ActivityResult(execution=story.execution, seq=seq, result=raw(result))


async def chain(ctx: Ctx) -> str:
    result = ""
    for name in ("A", "B", "C"):
        result += await ctx.activity(name)
    return result


def running_chain() -> Story:
    """It waits for C: events 0 started, 1 A, 2 completed, 3 B, 4 completed, 5 C."""
    story = Story(chain)
    story.turn()
    story.turn(done(story, 1))
    story.turn(done(story, 2))
    return story


def test_what_came_later_is_dropped_and_what_was_open_there_runs_again() -> None:
    story = running_chain()
    ended = list(story.history)
    commit = story.reset(4, "B was wrong")
    assert (commit.canceled_calls, commit.closed_calls) == ((3,), (3,))
    (last,) = commit.events
    assert isinstance(last, ExecutionContinuedAsNew)
    assert last.next == story.execution
    assert story.past == [[*ended, last]]
    (task,) = story.turn().tasks
    assert (task.seq, task.name, task.idempotency_key) == (2, "B", "story:x1:2")
    mark = story.history[-1]
    assert isinstance(mark, ExecutionReset)
    assert (mark.reason, mark.previous) == ("B was wrong", "x1")
    (task,) = story.turn(done(story, 2, "7")).tasks
    assert (task.seq, task.name) == (4, "C")
    story.turn(done(story, 4))
    assert story.result() == "171"


def test_a_call_that_was_cancelled_before_stays_cancelled_and_nobody_waits_for_it() -> None:
    async def body(ctx: Ctx) -> str:
        call = ctx.activity("A")
        await ctx.event("Enough")
        call.cancel()
        return await ctx.activity("B") + await ctx.activity("A")

    story = Story(body)
    story.turn()
    story.turn(RaiseEvent(name="Enough"))
    story.turn(done(story, 2))
    assert _folded(story).canceled == {1}
    story.reset(story.kinds().index("ActivityCompleted"))
    assert [task.seq for task in story.turn().tasks] == [2]
    assert _folded(story).canceled == set()  # The attempt that was stopped tells an execution that is over.
    (task,) = story.turn(done(story, 2)).tasks
    assert (task.seq, task.name) == (4, "A")
    story.turn(done(story, 4, "7"))
    assert story.result() == "17"


def _folded(story: Story) -> State:
    state = State()
    state.fold(story.history)
    return state


def test_a_finished_instance_can_be_reset() -> None:
    story = running_chain()
    story.turn(done(story, 3))
    commit = story.reset(2)
    assert (commit.events, commit.canceled_calls, story.status) == ((), (), RuntimeStatus.RUNNING)
    assert [task.seq for task in story.turn().tasks] == [1]


@pytest.mark.parametrize("position", [0, 1])
def test_before_everything(position: int) -> None:
    async def body(ctx: Ctx) -> str:
        return await ctx.event("Go")

    story = Story(body)
    story.turn()
    story.turn(RaiseEvent(name="Go", data=raw("7")))
    story.reset(position)
    assert story.history == []
    story.turn()
    assert story.result() == "7"


@pytest.mark.parametrize(
    ("position", "near"),
    [
        (1, "0 (ExecutionStarted) and 2 (ActivityCompleted)"),
        (5, "are 4 (ActivityCompleted)"),
        (99, "are 4 (ActivityCompleted)"),
        (-1, "are 0 (ExecutionStarted)"),
    ],
)
def test_a_place_amid_a_step_is_refused_and_the_nearest_are_named(position: int, near: str) -> None:
    with pytest.raises(InvalidPosition, match=r"before event -?\d+ of its history") as error:
        running_chain().reset(position)
    assert near in str(error.value)


def test_an_instance_without_history_is_refused() -> None:
    with pytest.raises(InvalidPosition, match="no history yet"):
        before((), 0)


async def listener(ctx: Ctx) -> str:
    await ctx.activity("A")
    return await ctx.event("Go") + await ctx.event("Go")


@pytest.mark.parametrize("keep", [True, False])
def test_events_that_came_later_are_raised_again(keep: bool) -> None:
    story = Story(listener)
    story.turn()
    story.turn(done(story, 1))
    story.turn(RaiseEvent(name="Go", data=raw("1"), id="1"))
    story.turn(RaiseEvent(name="Go", data=raw("2"), id="2"))
    assert story.result() == "12"
    story.reset(2, keep_events=keep)
    story.turn()
    assert story.kinds().count("EventRaised") == (2 if keep else 0)
    story.turn(RaiseEvent(name="Go", data=raw("3"), id="1"))
    assert story.kinds().count("EventRaised") == (2 if keep else 1)
    story.turn(done(story, 1))
    assert story.status is (RuntimeStatus.COMPLETED if keep else RuntimeStatus.RUNNING)


def test_timers_that_were_open_there_come_again() -> None:
    async def body(ctx: Ctx) -> str:
        await ctx.activity("A")
        await ctx.timer(60)
        return "1"

    story = Story(body)
    story.turn()
    story.turn(done(story, 1))
    story.turn(story.due(2))
    story.reset(4)
    assert [(timer.seq, timer.due) for timer in story.turn().timers] == [(2, T0 + 60_000)]


@pytest.mark.parametrize("policy", ParentClose)
def test_children_that_began_later_end_as_their_policy_says(policy: ParentClose) -> None:
    async def body(ctx: Ctx) -> str:
        await ctx.activity("A")
        return await ctx.child("Kid", close=policy)

    story = Story(body)
    story.turn()
    story.turn(done(story, 1))
    commit = story.reset(2)
    parent = Parent("story", "x1", 2)
    reason = "its parent was reset to before it began"
    expected = {
        ParentClose.TERMINATE: [Terminate(reason=reason, parent=parent)],
        ParentClose.CANCEL: [Cancel(reason=reason, id="x1:2", parent=parent)],
        ParentClose.ABANDON: [],
    }
    assert [sent.message for sent in commit.outbox] == expected[policy]
    story.turn()
    (start,) = story.turn(done(story, 1)).outbox
    assert start.instance == "story:3"


def test_children_that_were_open_there_answer_the_next_execution() -> None:
    async def body(ctx: Ctx) -> str:
        kid = ctx.child("Kid")
        await ctx.activity("A")
        return await kid

    story = Story(body)
    story.turn()
    story.turn(done(story, 2))
    story.turn(SubOrchestrationResult(execution="x1", seq=1, result=raw("7")))
    commit = story.reset(3)
    start, asked = (sent.message for sent in commit.outbox)
    assert isinstance(start, StartExecution)
    assert asked == Rewind(parent=Parent("story", "x1", 1), heir=story.execution)
    assert [task.seq for task in story.turn().tasks] == [2]
    story.turn(SubOrchestrationResult(execution=story.execution, seq=1, result=raw("8")), done(story, 2))
    assert story.result() == "8"


def test_a_child_that_completed_gives_its_result_again_as_often_as_its_parent_is_reset() -> None:
    async def body(ctx: Ctx) -> str:
        kid = ctx.child("Kid")
        await ctx.activity("A")
        return await kid

    async def quick(ctx: Ctx) -> str:
        return "7"

    story, kid = Story(body), Story(quick)
    story.turn()
    kid.start = StartExecution(name="Story", execution="k1", parent=Parent("story", "x1", 1))
    kid.turn()
    story.turn(done(story, 2))
    for _ in range(3):
        asked = story.reset(3).outbox[1].message
        assert isinstance(asked, Rewind)
        (answer,) = kid.turn(asked).outbox
        assert answer.message == SubOrchestrationResult(execution=story.execution, seq=1, result=raw("7"))
        story.turn()


def test_a_suspended_instance_is_what_it_was_there() -> None:
    story = running_chain()
    story.turn(Suspend())
    assert story.status is RuntimeStatus.SUSPENDED
    story.reset(4)
    assert story.turn().status is RuntimeStatus.RUNNING
    story.turn(Suspend())
    story.turn(done(story, 2))
    story.reset(len(story.history) - 1)
    assert story.turn().status is RuntimeStatus.SUSPENDED


def test_one_reset_after_the_other_before_it_goes_on() -> None:
    async def body(ctx: Ctx) -> str:
        got = [await ctx.activity("A"), await ctx.event("Go"), await ctx.activity("B"), await ctx.event("Go")]
        return "".join(got)

    story = Story(body)
    story.turn()
    story.turn(done(story, 1))
    story.turn(RaiseEvent(name="Go", data=raw("3"), id="3"))
    story.turn(done(story, 2))
    story.turn(RaiseEvent(name="Go", data=raw("4"), id="4"))
    assert story.result() == "1314"
    story.reset(len(story.history) - 2)
    story.reset(2)
    assert [task.seq for task in story.turn().tasks] == [1]
    (task,) = story.turn(done(story, 1)).tasks
    assert task.seq > 2
    story.turn(done(story, task.seq, "9"))
    assert story.result() == "1394"


def test_a_quarantined_instance_goes_on_from_where_its_code_still_fits() -> None:
    async def other(ctx: Ctx) -> str:
        await ctx.activity("A")
        return await ctx.activity("Z")

    story = running_chain()
    story.forget()
    story.definition = Story(other).definition
    assert story.turn(done(story, 3)).park is not None
    story.reset(2)
    assert [task.name for task in story.turn().tasks] == ["A"]
    assert [task.name for task in story.turn(done(story, 1)).tasks] == ["Z"]


def test_late_results_of_what_was_dropped_mean_nothing() -> None:
    story = running_chain()
    story.reset(2)
    story.turn()
    late = ActivityResult(execution="x1", seq=3)
    assert story.turn(late, ActivityFailure(execution="x1", seq=1, failure=Failure("Oops", ""))).events == ()


def test_new_ids_are_new_and_kept_ones_are_kept() -> None:
    async def body(ctx: Ctx) -> str:
        await ctx.activity("A", f'"{ctx.scope.execution}"')
        return await ctx.activity("B", f'"{ctx.scope.execution}"')

    story = Story(body)
    story.turn()
    story.turn(done(story, 1))
    story.reset(2)
    (first,) = story.turn().tasks
    (second,) = story.turn(done(story, 1)).tasks
    assert (text(first.call.input), text(second.call.input)) == ('"x1"', f'"{story.execution}"')
    assert second.idempotency_key == f"story:{story.execution}:3"
