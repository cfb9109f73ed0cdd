"""Suspend, resume, terminate, sub-orchestrations, continue-as-new."""

from __future__ import annotations

from redurable.core.events import ExecutionCompleted, ExecutionFailed
from redurable.core.messages import (
    ActivityResult,
    RaiseEvent,
    Resume,
    StartExecution,
    SubOrchestrationFailure,
    SubOrchestrationResult,
    Suspend,
    Terminate,
)
from redurable.core.values import Arguments, Failure, Parent, RuntimeStatus
from redurable.errors import SubOrchestrationFailed
from tests.support.story import Ctx, Story, raw, text


async def collect(ctx: Ctx) -> str:
    return f"[{await ctx.event('e')},{await ctx.activity('A')},{await ctx.event('e')}]"


def test_suspended_instances_record_and_go_on_in_order_after_resume() -> None:
    story = Story(collect)
    story.turn()
    assert story.turn(Suspend(reason="audit")).status is RuntimeStatus.SUSPENDED
    held = story.turn(RaiseEvent(name="e", data=raw("1")), Suspend(reason="again"), RaiseEvent(name="e", data=raw("2")))
    assert [type(e).__name__ for e in held.events] == ["EventRaised", "EventRaised"]
    assert held.tasks == ()
    story.forget()
    resumed = story.turn(Resume(reason="fine"))
    assert [task.name for task in resumed.tasks] == ["A"]
    assert resumed.status is RuntimeStatus.RUNNING
    story.turn(ActivityResult(execution="x1", seq=1, result=raw('"a"')))
    end = story.history[-1]
    assert isinstance(end, ExecutionCompleted)
    assert text(end.result) == '[1,"a",2]'


def test_terminate_ends_at_once_and_tells_the_parent() -> None:
    story = Story(collect)
    assert story.start
    story.start = StartExecution(name="Story", execution="x1", parent=Parent("boss", "bx", 4))
    story.turn()
    commit = story.turn(Terminate(reason="no stock"), RaiseEvent(name="e"))
    assert commit.status is RuntimeStatus.TERMINATED
    assert story.kinds()[-1] == "ExecutionTerminated"
    (report,) = commit.outbox
    assert report.instance == "boss"
    assert isinstance(report.message, SubOrchestrationFailure)
    assert (report.message.execution, report.message.seq) == ("bx", 4)
    assert (report.message.failure.type, report.message.failure.message) == ("OrchestrationTerminated", "no stock")


def test_a_child_is_started_through_the_outbox_and_its_outcome_is_awaited() -> None:
    async def boss(ctx: Ctx) -> str:
        good = await ctx.child("Kid", "5")
        try:
            await ctx.child("Kid", "6", "named")
        except SubOrchestrationFailed as error:
            return f'"{good} {error.name} {error.type}"'
        return "0"

    story = Story(boss)
    (sent,) = story.turn().outbox
    assert sent.instance == "story:1"
    assert isinstance(sent.message, StartExecution)
    assert sent.message.parent == Parent("story", "x1", 1)
    assert sent.refusal is not None
    assert sent.refusal[0] == "story"
    assert sent.refusal[1].failure.type == "InstanceAlreadyExists"
    (named,) = story.turn(SubOrchestrationResult(execution="x1", seq=1, result=raw("55"))).outbox
    assert named.instance == "named"
    story.turn(SubOrchestrationFailure(execution="x1", seq=2, failure=Failure("Boom", "x")))
    end = story.history[-1]
    assert isinstance(end, ExecutionCompleted)
    assert text(end.result) == '"55 Kid Boom"'


def test_a_finished_child_reports_to_its_parent() -> None:
    async def kid(ctx: Ctx) -> str:
        return "7"

    story = Story(kid)
    story.start = StartExecution(name="Story", execution="x1", parent=Parent("boss", "bx", 4))
    commit = story.turn()
    assert [(o.instance, type(o.message).__name__) for o in commit.outbox] == [("boss", "SubOrchestrationResult")]


def test_continue_as_new_begins_an_execution_with_the_unread_events() -> None:
    async def rounds(ctx: Ctx) -> str:
        number = int(ctx.input)
        if number == 2:
            return f"[{await ctx.event('e')},{await ctx.event('e')}]"
        await ctx.activity("A")
        return ctx.scope.continue_as_new(Arguments(input=raw(str(number + 1))), True)

    story = Story(rounds, "1")
    story.turn(RaiseEvent(name="e", data=raw("1"), id="i1"))
    commit = story.turn(ActivityResult(execution="x1", seq=1), RaiseEvent(name="e", data=raw("2")))
    assert commit.next is not None
    assert (commit.next.number, commit.next.first_seq, commit.next.event_ids) == (2, 2, ("i1",))
    assert commit.status is RuntimeStatus.RUNNING
    assert commit.consumed.endswith("-2"), "the event behind the end of the execution stays in the mailbox"
    stale = story.turn(ActivityResult(execution="x1", seq=1), RaiseEvent(name="e", data=raw("1"), id="i1"))
    assert [type(e).__name__ for e in stale.events] == ["ExecutionStarted"]
    story.turn(RaiseEvent(name="e", data=raw("2")))
    end = story.history[-1]
    assert isinstance(end, ExecutionCompleted)
    assert text(end.result) == "[1,2]"


def test_an_error_fails_the_execution_with_its_type() -> None:
    async def broken(ctx: Ctx) -> str:
        raise ValueError("bad")

    story = Story(broken)
    assert story.turn().status is RuntimeStatus.FAILED
    end = story.history[-1]
    assert isinstance(end, ExecutionFailed)
    assert (end.failure.type, end.failure.message) == ("ValueError", "bad")
