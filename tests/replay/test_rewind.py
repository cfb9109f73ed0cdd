"""A failed instance goes on from before its failure: what is taken back, what is kept, and what its children hear."""

from __future__ import annotations

import asyncio
import random

import pytest
from msgspec.structs import replace

from redurable.core.delivery import TurnCommit
from redurable.core.events import ExecutionFailed, ExecutionRewound, ExecutionStarted
from redurable.core.history_cap import HistoryCap
from redurable.core.messages import (
    ActivityFailure,
    ActivityResult,
    Message,
    RaiseEvent,
    Rewind,
    StartExecution,
    Suspend,
    Terminate,
    TimerDue,
)
from redurable.core.values import ActivityOptions, Arguments, Failure, Parent, Retry, RuntimeStatus
from tests.support.story import T0, Ctx, Story, raw, text

OOPS = Failure("Oops", "no")


def done(story: Story, seq: int, result: str = "1") -> ActivityResult:
    return ActivityResult(execution=story.execution, seq=seq, result=raw(result))


def broken(story: Story, seq: int) -> ActivityFailure:
    return ActivityFailure(execution=story.execution, seq=seq, failure=OOPS)


def seqs(commit: TurnCommit) -> list[int]:
    return [task.seq for task in commit.tasks]


def sent(commit: TurnCommit) -> list[tuple[str, Message | StartExecution]]:
    return [(item.instance, item.message) for item in commit.outbox]


async def chain(ctx: Ctx) -> str:
    first = await ctx.activity("A")
    return first + await ctx.activity("B")


def failed_chain() -> Story:
    story = Story(chain)
    story.turn()
    story.turn(done(story, 1))
    story.turn(broken(story, 2))
    assert story.status is RuntimeStatus.FAILED
    return story


def test_the_failed_call_runs_again_and_what_completed_is_kept() -> None:
    story = failed_chain()
    ended = list(story.history)
    commit = story.rewind("repaired")
    assert (commit.status, commit.events, commit.tasks) == (RuntimeStatus.RUNNING, (), ())
    assert story.past == [ended]
    again = story.turn()
    (task,) = again.tasks
    assert (task.seq, task.execution, task.attempt, task.log) == (2, story.execution, 1, ())
    assert story.kinds() == [
        *("ExecutionStarted", "ActivityScheduled", "ActivityCompleted", "ActivityScheduled", "ExecutionRewound")
    ]
    mark = story.history[-1]
    assert isinstance(mark, ExecutionRewound)
    assert (mark.reason, mark.previous, mark.execution) == ("repaired", "x1", story.execution)
    story.turn(done(story, 2, "2"))
    assert story.result() == "12"


def test_the_call_that_runs_again_is_the_same_call() -> None:
    story = failed_chain()
    for _ in range(2):
        story.rewind()
        (task,) = story.turn().tasks
        assert task.idempotency_key == "story:x1:2"
        story.turn(broken(story, 2))
    assert story.status is RuntimeStatus.FAILED


def test_its_retry_policy_and_its_timeouts_begin_anew() -> None:
    options = ActivityOptions("slow", Retry(max_attempts=7))

    async def body(ctx: Ctx) -> str:
        return await ctx.scope.call_activity("A", Arguments(), options, text)

    story = Story(body)
    (before,) = story.turn().tasks
    story.turn(broken(story, 1))
    story.now += 5_000
    story.rewind()
    (task,) = story.turn().tasks
    # Nothing but the start would be kept, so the code has begun anew.
    assert (task.options, before.options) == (options, options)
    assert (task.attempt, task.scheduled_at) == (1, T0 + 5_000)


def test_a_call_that_was_kept_has_the_policy_of_its_call() -> None:
    options = ActivityOptions("slow", Retry(max_attempts=7))

    async def body(ctx: Ctx) -> str:
        await ctx.activity("A")
        return await ctx.scope.call_activity("B", Arguments(), options, text)

    story = Story(body)
    story.turn()
    story.turn(done(story, 1))
    story.turn(broken(story, 2))
    story.now += 5_000
    story.rewind()
    (task,) = story.turn().tasks
    assert (task.options, task.attempt, task.scheduled_at) == (options, 1, T0 + 5_000)


def test_what_was_open_when_it_failed_runs_again_too() -> None:
    async def body(ctx: Ctx) -> str:
        await ctx.activity("first")
        await asyncio.gather(ctx.activity("A"), ctx.activity("B"), ctx.timer(60), ctx.child("Kid"))
        return "1"

    story = Story(body)
    story.turn()
    story.turn(done(story, 1))
    story.turn(broken(story, 2))
    commit = story.rewind()
    kid = Parent("story", "x1", 5)
    heir = replace(kid, execution=story.execution)
    start, asked = sent(commit)
    assert start[0] == asked[0] == "story:5"
    assert isinstance(start[1], StartExecution)
    assert (start[1].name, start[1].parent) == ("Kid", heir)
    refusal = commit.outbox[0].refusal
    assert refusal is not None
    assert (refusal[0], refusal[1].execution) == ("story", "x1")
    assert asked[1] == Rewind(parent=kid, heir=story.execution)
    again = story.turn()
    assert seqs(again) == [2, 3]
    assert [(timer.seq, timer.due) for timer in again.timers] == [(4, T0 + 60_000)]


def test_late_messages_for_the_execution_that_failed_mean_nothing() -> None:
    story = failed_chain()
    story.rewind()
    story.turn()
    late = [ActivityResult(execution="x1", seq=2), TimerDue(execution="x1", seq=2, due=1)]
    assert story.turn(*late).events == ()


async def tolerant(ctx: Ctx) -> str:
    await ctx.activity("first")
    ends = await asyncio.gather(ctx.activity("A"), ctx.activity("B"), ctx.activity("C"), return_exceptions=True)
    if any(isinstance(end, Exception) for end in ends):
        raise RuntimeError("not all of them")
    return "".join(str(end) for end in ends)


def test_all_failures_since_it_last_decided_are_taken_back_and_successes_are_told_again() -> None:
    story = Story(tolerant)
    story.turn()
    story.turn(done(story, 1))
    story.turn(broken(story, 2))
    story.turn(done(story, 3, "3"))
    story.turn(broken(story, 4))
    story.rewind()
    assert seqs(story.turn()) == [2, 4]
    story.turn(done(story, 4, "4"))
    story.turn(done(story, 2, "2"))
    assert story.result() == "234"


async def careful(ctx: Ctx) -> str:
    await ctx.activity("reserve")
    try:
        await ctx.activity("charge")
    except Exception:
        await ctx.activity("release")
        raise
    return "charged"


def test_what_was_decided_in_answer_to_the_failure_is_dropped_with_it() -> None:
    story = Story(careful)
    story.turn()
    story.turn(done(story, 1))
    story.turn(broken(story, 2))
    story.turn(done(story, 3))
    assert isinstance(story.history[-1], ExecutionFailed)
    assert story.history[-1].causes == (2,)
    story.rewind()
    assert seqs(story.turn()) == [2]
    assert "release" not in [getattr(event, "name", "") for event in story.history]
    # It fails again: what it then asks for has another number than what was asked for before.
    assert seqs(story.turn(broken(story, 2))) == [4]


def test_the_failure_of_a_compensation_takes_both_back() -> None:
    story = Story(careful)
    story.turn()
    story.turn(done(story, 1))
    story.turn(broken(story, 2))
    story.turn(broken(story, 3))
    assert getattr(story.history[-1], "causes", ()) == (2, 3)
    story.rewind()
    assert seqs(story.turn()) == [2]


def test_a_failure_that_was_handled_long_ago_is_kept() -> None:
    async def body(ctx: Ctx) -> str:
        try:
            await ctx.activity("A")
        except Exception:
            await ctx.activity("instead")
        return await ctx.activity("C")

    story = Story(body)
    story.turn()
    story.turn(broken(story, 1))
    story.turn(done(story, 2))
    story.turn(broken(story, 3))
    story.rewind()
    assert seqs(story.turn()) == [3]
    assert story.kinds().count("ActivityFailed") == 1


def test_code_that_was_repaired_is_told_once_more_what_it_failed_on() -> None:
    async def before(ctx: Ctx) -> str:
        await ctx.activity("A")
        return await ctx.event("Go") + str(1 // 0)

    async def after(ctx: Ctx) -> str:
        await ctx.activity("A")
        return await ctx.event("Go") + await ctx.activity("B")

    story = Story(before)
    story.turn()
    story.turn(done(story, 1))
    story.turn(RaiseEvent(name="Go", data=raw("7"), id="once"))
    assert story.status is RuntimeStatus.FAILED
    story.rewind()
    story.definition = Story(after).definition
    assert seqs(story.turn()) == [2]
    assert story.turn(RaiseEvent(name="Go", data=raw("8"), id="once")).events == ()
    story.turn(done(story, 2, "2"))
    assert story.result() == "72"


def test_code_that_fails_at_once_begins_anew_with_other_numbers_and_ids() -> None:
    async def body(ctx: Ctx) -> str:
        call = ctx.activity("A", f'"{ctx.scope.execution}"')
        if ctx.scope.execution == "x1":
            raise RuntimeError
        return await call

    story = Story(body)
    story.turn()
    assert story.status is RuntimeStatus.FAILED
    commit = story.rewind()
    assert (commit.kept, story.history) == (None, [])
    (task,) = story.turn().tasks
    assert (task.seq, text(task.call.input)) == (2, f'"{story.execution}"')
    assert story.kinds() == ["ExecutionStarted", "ExecutionRewound", "ActivityScheduled"]
    assert seqs(story.turn(done(story, 2))) == []
    assert story.status is RuntimeStatus.COMPLETED


@pytest.mark.parametrize("repaired", [True, False])
def test_code_that_ends_at_once_again_ends_with_its_end(repaired: bool) -> None:
    async def body(ctx: Ctx) -> str:
        if not repaired or ctx.scope.execution == "x1":
            raise RuntimeError
        return '"well"'

    story = Story(body)
    story.turn()
    for _ in range(1 if repaired else 3):
        story.rewind()
        story.turn()
    assert story.kinds() == ["ExecutionStarted", "ExecutionRewound", f"Execution{story.status.value}"]


def test_what_code_sees_of_the_kept_part_is_what_it_saw() -> None:
    async def body(ctx: Ctx) -> str:
        numbers = random.Random(ctx.scope.execution)
        await ctx.activity("A", str(numbers.random()))
        await ctx.activity("B", f'"{ctx.scope.execution}"')
        return f'"{ctx.scope.execution}"'

    story = Story(body)
    story.turn()
    story.turn(done(story, 1))
    for _ in range(2):
        story.turn(broken(story, 2))
        story.rewind()
        (task,) = story.turn().tasks
        assert text(task.call.input) == '"x1"'
        assert not story.parks
    story.forget()
    story.turn(done(story, 2))
    assert story.result() == f'"{story.execution}"'


def test_code_that_does_not_fit_is_quarantined_and_then_goes_on() -> None:
    async def other(ctx: Ctx) -> str:
        return await ctx.activity("Z")

    story = failed_chain()
    right, story.definition = story.definition, Story(other).definition
    story.rewind()
    commit = story.turn()
    assert commit.park is not None
    assert commit.park.reason == "nondeterminism"
    assert story.turn(Suspend()).park is not None
    story.definition = right
    assert seqs(story.turn()) == [2]


@pytest.mark.parametrize("known", [True, False])
def test_it_can_be_terminated_before_it_goes_on(known: bool) -> None:
    story = failed_chain()
    story.rewind("repaired")
    if not known:
        story.definition = None
    story.turn(Terminate(reason="enough"))
    assert story.status is RuntimeStatus.TERMINATED
    assert "ExecutionRewound" in story.kinds()


def test_what_ran_out_of_time_has_as_much_time_again() -> None:
    story = Story(chain)
    story.start = story.start and replace(story.start, execution_timeout=60_000)
    story.turn()
    story.turn(done(story, 1))
    story.now += 60_000
    story.turn(TimerDue(execution="x1", seq=0, due=story.now))
    assert story.status is RuntimeStatus.FAILED
    story.now += 1_000
    story.rewind()
    again = story.turn()
    assert [(timer.seq, timer.due) for timer in again.timers] == [(0, story.now + 60_000)]
    assert seqs(again) == [2]


def test_what_became_too_long_goes_on_when_it_may() -> None:
    async def body(ctx: Ctx) -> str:
        for number in range(20):
            await ctx.activity("A", str(number))
        return "1"

    story = Story(body)
    story.cap = HistoryCap(events=10)
    story.turn()
    for seq in range(1, 20):
        if story.status.finished:
            break
        story.turn(done(story, seq))
    assert story.status is RuntimeStatus.FAILED
    story.cap = HistoryCap()
    story.rewind()
    (task,) = story.turn().tasks
    waiting = [task]
    while waiting:
        waiting += story.turn(done(story, waiting.pop(0).seq)).tasks
    assert story.result() == "1"


def test_events_that_came_behind_the_failure_are_told_again() -> None:
    async def body(ctx: Ctx) -> str:
        await ctx.activity("first")
        ends = await asyncio.gather(ctx.activity("A"), ctx.event("Go"), return_exceptions=True)
        if isinstance(ends[0], Exception):
            raise ends[0]
        return str(ends[1])

    story = Story(body)
    story.turn()
    story.turn(done(story, 1))
    story.turn(broken(story, 2))
    story.turn(RaiseEvent(name="Go", data=raw("7"), id="7"))
    assert story.status is RuntimeStatus.FAILED
    story.rewind()
    assert seqs(story.turn()) == [2]
    story.turn(done(story, 2))
    assert story.result() == "7"


def test_the_start_of_what_was_rewound_says_where_it_came_from() -> None:
    story = failed_chain()
    story.rewind()
    started = story.history[0]
    assert isinstance(started, ExecutionStarted)
    assert (started.execution, started.origin, started.at) == (story.execution, "x1", T0)
