"""A request to cancel is `task.cancel()` of the orchestrator: what comes of it is up to its code."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence

import anyio
import pytest

from redurable.core.delivery import TurnCommit
from redurable.core.events import ActivityCanceled, ActivityScheduled, ExecutionCanceled, ExecutionFailed
from redurable.core.messages import (
    ActivityFailure,
    ActivityResult,
    ActivityStopped,
    Cancel,
    Message,
    RaiseEvent,
    Resume,
    StartExecution,
    SubOrchestrationFailure,
    Suspend,
    Terminate,
)
from redurable.core.values import Arguments, Attempt, Ending, Failure, Parent, RuntimeStatus
from tests.support.story import Ctx, Story, raw, text

CANCEL = Cancel(reason="no stock")


def result(seq: int) -> ActivityResult:
    return ActivityResult(execution="x1", seq=seq, result=raw("1"))


def kinds(commit: TurnCommit) -> list[str]:
    return [type(event).__name__ for event in commit.events]


async def undo(ctx: Ctx) -> str:
    try:
        await ctx.activity("Reserve")
        await ctx.event("Approval")
    except asyncio.CancelledError as error:
        await ctx.activity("Release", json.dumps(error.args))
        await ctx.timer(60)
        raise
    return "1"


def test_an_orchestrator_undoes_what_it_did_and_ends_as_canceled() -> None:
    story = Story(undo)
    story.turn()
    story.turn(result(1))
    commit = story.turn(CANCEL)
    assert (kinds(commit), commit.status) == (["ExecutionCancelRequested", "ActivityScheduled"], RuntimeStatus.RUNNING)
    assert [text(task.call.input) for task in commit.tasks] == ['["no stock"]']
    story.forget()
    assert kinds(story.turn(result(2))) == ["ActivityCompleted", "TimerCreated"]
    commit = story.turn(story.due(3))
    assert (kinds(commit), commit.status) == (["TimerFired", "ExecutionCanceled"], RuntimeStatus.CANCELED)
    end = story.history[-1]
    assert isinstance(end, ExecutionCanceled)
    assert end.reason == "no stock"


def test_what_it_waits_for_is_cancelled_and_its_late_outcome_means_nothing() -> None:
    story = Story(undo)
    story.turn()
    commit = story.turn(CANCEL)
    assert kinds(commit) == ["ExecutionCancelRequested", "ActivityCancelRequested", "ActivityScheduled"]
    assert (commit.canceled_calls, commit.closed_calls) == ((1,), (1,)), "its retries and its timers go, too"
    story.forget()
    log = (Attempt(1, Ending.CRASHED, "w1", 5, 9),)
    late = ActivityResult(execution="x1", seq=1, attempts=2, worker="w2", started=11, log=log)
    (told,) = story.turn(late, late).events
    assert told == ActivityCanceled(at=told.at, commit=told.commit, seq=1, attempt=2, worker="w2", started=11, log=log)
    assert kinds(story.turn(result(1))) == []
    assert kinds(story.turn(result(2))) == ["ActivityCompleted", "TimerCreated"]


def test_an_outcome_that_was_first_is_not_cancelled() -> None:
    story = Story(undo)
    story.turn()
    commit = story.turn(result(1), CANCEL)
    assert kinds(commit) == ["ActivityCompleted", "ExecutionCancelRequested", "ActivityScheduled"]
    assert commit.canceled_calls == ()


def test_who_swallows_it_goes_on_and_a_second_request_cancels_again() -> None:
    async def stubborn(ctx: Ctx) -> str:
        task = asyncio.current_task()
        assert task is not None
        seen: list[int] = []
        for _ in range(2):
            try:
                await ctx.event("never")
            except asyncio.CancelledError:
                seen.append(task.cancelling())
        task.uncancel()
        seen.append(task.cancelling())
        return f"[{','.join(map(str, seen))},{await ctx.event('Go')}]"

    story = Story(stubborn)
    story.turn()
    assert story.turn(CANCEL).status is RuntimeStatus.RUNNING
    assert story.turn(Cancel(id="c2")).status is RuntimeStatus.RUNNING
    assert kinds(story.turn(Cancel(id="c2"))) == [], "a repetition"
    story.forget()
    story.turn(RaiseEvent(name="Go", data=raw("4")))
    assert story.result() == "[1,2,1,4]"


def test_a_second_request_breaks_the_undoing_off() -> None:
    story = Story(undo)
    story.turn()
    story.turn(CANCEL)
    commit = story.turn(CANCEL)
    assert kinds(commit) == ["ExecutionCancelRequested", "ActivityCancelRequested", "ExecutionCanceled"]
    assert (commit.status, commit.canceled_calls) == (RuntimeStatus.CANCELED, (2,))


def test_a_cancelled_error_that_nobody_asked_for_is_a_failure() -> None:
    async def itself(ctx: Ctx) -> str:
        raise asyncio.CancelledError

    story = Story(itself)
    assert story.turn().status is RuntimeStatus.FAILED
    assert isinstance(story.history[-1], ExecutionFailed)


def test_an_error_of_the_undoing_is_a_failure() -> None:
    async def clumsy(ctx: Ctx) -> str:
        try:
            return await ctx.event("never")
        finally:
            raise ValueError("cannot undo")

    story = Story(clumsy)
    story.turn()
    assert story.turn(CANCEL).status is RuntimeStatus.FAILED


async def in_timeout(ctx: Ctx) -> str:
    async with asyncio.timeout(60):
        return await ctx.activity("A")


async def in_wait_for(ctx: Ctx) -> str:
    return await asyncio.wait_for(ctx.activity("A"), 60)


async def in_gather(ctx: Ctx) -> str:
    await asyncio.gather(ctx.activity("A"), ctx.activity("B"), ctx.timer(60))
    return "no"


async def in_task_group(ctx: Ctx) -> str:
    async def call(name: str) -> None:
        await ctx.activity(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(call("A"))
        group.create_task(call("B"))
    return "no"


async def in_anyio(ctx: Ctx) -> str:
    async def call(name: str) -> None:
        await ctx.activity(name)

    with anyio.move_on_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(call, "A")
            group.start_soon(call, "B")
    return "no"


@pytest.mark.parametrize("body", [in_timeout, in_wait_for, in_gather, in_task_group, in_anyio])
def test_it_goes_through_what_asyncio_and_anyio_build(body: object) -> None:
    story = Story(body)  # pyright: ignore[reportArgumentType]
    calls = len(story.turn().tasks)
    commit = story.turn(CANCEL)
    assert commit.status is RuntimeStatus.CANCELED
    assert sorted(commit.canceled_calls) == sorted(
        event.seq for event in story.history if isinstance(event, ActivityScheduled)
    )
    assert len(commit.canceled_calls) == calls
    assert kinds(commit).count("TimerCanceled") == len(commit.canceled_timers)


def test_a_timeout_and_an_abort_cancel_calls_and_go_on() -> None:
    async def impatient(ctx: Ctx) -> str:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ctx.activity("Slow"), 60)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(call(ctx, "Loser"))
                await ctx.event("Fail")
                raise KeyError
        except* KeyError:
            pass
        future = ctx.activity("Unwanted")
        await ctx.event("Cancel")
        assert future.cancel()
        assert not future.cancel()
        return await ctx.event("End")

    async def call(ctx: Ctx, name: str) -> str:
        return await ctx.activity(name)

    story = Story(impatient)
    story.turn()
    assert story.turn(story.due(2)).canceled_calls == (1,)
    story.forget()
    assert story.turn(RaiseEvent(name="Fail")).canceled_calls == (3,)
    assert story.turn(RaiseEvent(name="Cancel")).canceled_calls == (4,)
    story.forget()
    failure = ActivityFailure(execution="x1", seq=3, failure=Failure("Boom", "no", attempts=3))
    stopped = ActivityStopped(execution="x1", seq=4, attempt=1, worker="w1")
    commit = story.turn(result(1), failure, stopped, RaiseEvent(name="End", data=raw("5")))
    assert story.result() == "5"
    attempts = [
        (event.seq, event.attempt, event.worker) for event in commit.events if isinstance(event, ActivityCanceled)
    ]
    assert attempts == [(1, 1, ""), (3, 3, ""), (4, 1, "w1")]
    assert "ActivityCompleted" not in story.kinds()


def test_a_call_made_and_cancelled_in_one_step_never_is() -> None:
    async def hasty(ctx: Ctx) -> str:
        ctx.activity("A").cancel()
        ctx.child("Kid").cancel()
        ctx.timer(5).cancel()
        return await ctx.activity("B")

    story = Story(hasty)
    commit = story.turn()
    assert (kinds(commit), commit.outbox) == (["ExecutionStarted", "ActivityScheduled"], ())
    assert [(task.name, task.seq) for task in commit.tasks] == [("B", 1)]


def test_a_call_cancelled_within_the_turn_that_made_it_never_begins() -> None:
    async def quick(ctx: Ctx) -> str:
        future = ctx.activity("A")
        await ctx.event("Cancel")
        future.cancel()
        return await ctx.event("End")

    commit = Story(quick).turn(RaiseEvent(name="Cancel"))
    assert kinds(commit) == ["ExecutionStarted", "ActivityScheduled", "EventRaised", "ActivityCancelRequested"]
    assert (commit.tasks, commit.canceled_calls) == ((), ())


def test_terminate_runs_no_code_and_leaves_no_call() -> None:
    story = Story(undo)
    story.turn()
    commit = story.turn(Terminate(reason="now"))
    assert (kinds(commit), commit.tasks) == (["ExecutionTerminated"], ())
    assert (commit.status, commit.canceled_calls) == (RuntimeStatus.TERMINATED, (1,))


def test_continue_as_new_cancels_the_calls_that_it_leaves() -> None:
    async def rounds(ctx: Ctx) -> str:
        ctx.activity("A")
        await ctx.event("Next")
        return ctx.scope.continue_as_new(Arguments(), True)

    story = Story(rounds)
    story.turn()
    assert story.turn(RaiseEvent(name="Next")).canceled_calls == (1,)


# -- while it is suspended


def test_a_suspended_instance_is_cancelled_when_it_is_resumed_in_order() -> None:
    async def collect(ctx: Ctx) -> str:
        seen: list[str] = []
        try:
            while True:
                seen.append(await ctx.event("e"))
        except asyncio.CancelledError:
            await ctx.activity(",".join(seen))
            raise

    story = Story(collect)
    story.turn()
    messages: Sequence[Message] = (RaiseEvent(name="e", data=raw("1")), CANCEL, RaiseEvent(name="e", data=raw("2")))
    commit = story.turn(Suspend(), *messages)
    assert kinds(commit) == ["ExecutionSuspended", "EventRaised", "ExecutionCancelRequested", "EventRaised"]
    assert commit.status is RuntimeStatus.SUSPENDED
    story.forget()
    commit = story.turn(Resume())
    assert [task.name for task in commit.tasks] == ["1"]
    assert story.turn(result(1)).status is RuntimeStatus.CANCELED


def test_a_request_that_an_execution_was_too_late_for_goes_to_the_next_one() -> None:
    async def rounds(ctx: Ctx) -> str:
        await ctx.event("Next")
        return ctx.scope.continue_as_new(Arguments(), True)

    story = Story(rounds)
    story.turn()
    story.turn(Suspend(), RaiseEvent(name="Next"), CANCEL)
    commit = story.turn(Resume())
    (sent,) = commit.outbox
    assert (sent.instance, sent.message) == ("story", Cancel(reason="no stock", id="x1:cancel"))
    assert isinstance(sent.message, Cancel)
    story.turn()
    assert story.turn(sent.message).status is RuntimeStatus.CANCELED


def test_timers_wake_no_code_while_it_is_suspended_and_keep_their_order() -> None:
    async def tick(ctx: Ctx) -> str:
        order: list[str] = []

        async def note(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            order.append(name)
            await ctx.activity(name)

        await asyncio.gather(note('"late"', 20), note('"soon"', 10), ctx.event("e"))
        return f"[{','.join(order)}]"

    story = Story(tick)
    story.turn(Suspend())
    commit = story.turn(story.due(2), RaiseEvent(name="e"), story.due(1))
    assert kinds(commit) == ["TimerFired", "EventRaised", "TimerFired"]
    assert (commit.tasks, commit.status) == ((), RuntimeStatus.SUSPENDED)
    assert story.turn(after=3600).events == ()
    story.forget()
    commit = story.turn(Resume())
    assert [task.name for task in commit.tasks] == ['"soon"', '"late"']
    story.turn(*(result(task.seq) for task in commit.tasks))
    assert story.result() == '["soon","late"]'


def test_terminate_ends_a_suspended_instance_at_once() -> None:
    story = Story(undo)
    story.turn()
    story.turn(Suspend(), CANCEL)
    assert story.turn(Terminate()).status is RuntimeStatus.TERMINATED


# -- before its first turn, and without its code


@pytest.mark.parametrize(("message", "status"), [(CANCEL, "Canceled"), (Terminate(), "Terminated")])
@pytest.mark.parametrize("known", [True, False])
def test_what_was_ended_before_its_first_turn_never_runs(message: Message, status: str, known: bool) -> None:
    async def never(ctx: Ctx) -> str:
        raise AssertionError("it ran")

    story = Story(never if known else None)
    commit = story.turn(RaiseEvent(name="e"), message, RaiseEvent(name="f"))
    assert (commit.status, commit.start_consumed, commit.tasks) == (status, True, ())
    assert kinds(commit)[0] == "ExecutionStarted"
    assert len(commit.dead) == 2
    assert commit.consumed.endswith("-3")


def test_a_request_before_the_first_turn_reaches_the_parent() -> None:
    story = Story(undo)
    story.start = StartExecution(name="Story", execution="x1", parent=Parent("boss", "bx", 4))
    (report,) = story.turn(CANCEL).outbox
    assert report.instance == "boss"
    assert isinstance(report.message, SubOrchestrationFailure)
    assert (report.message.failure.type, report.message.failure.message) == ("OrchestrationCanceled", "no stock")


def test_an_execution_that_continued_as_new_may_have_something_to_undo() -> None:
    story = Story(undo)
    story.start = StartExecution(name="Story", execution="x1", number=2)
    commit = story.turn(CANCEL)
    assert [task.name for task in commit.tasks] == ["Release"]


def test_a_request_waits_for_the_code_that_it_needs() -> None:
    story = Story(undo)
    story.turn()
    story.forget()
    definition, story.definition = story.definition, None
    commit = story.turn(CANCEL)
    assert commit.park is not None
    assert (commit.consumed, commit.events) == ("", ())
    story.definition = definition
    assert kinds(story.turn(CANCEL))[0] == "ExecutionCancelRequested"
