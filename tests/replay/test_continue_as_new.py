"""What becomes of that which an execution still waits for when it continues as new."""

from __future__ import annotations

from datetime import timedelta

from redurable import App, OrchestrationContext, RetryPolicy
from redurable.core.events import ExecutionContinuedAsNew
from redurable.core.messages import (
    ActivityFailure,
    ActivityResult,
    RaiseEvent,
    SubOrchestrationFailure,
    SubOrchestrationResult,
    TimerDue,
)
from redurable.core.values import Failure, Parent
from tests.support.app_story import AppStory
from tests.support.story import raw

app = App("rounds")
HOUR = timedelta(hours=1)
BOSS = Parent("boss", "b1", 7)


@app.activity
async def work(number: int) -> int:
    raise NotImplementedError


@app.orchestrator
async def child(ctx: OrchestrationContext, number: int) -> int:
    raise NotImplementedError


@app.orchestrator
async def busy(ctx: OrchestrationContext, number: int) -> list[object]:
    """Waits for everything at once, and begins again; then for one activity only."""
    if not number:
        ctx.call_activity(work.options(schedule_to_close_timeout=HOUR), 1)
        ctx.call_activity(work, 2)
        ctx.create_timer(HOUR)
        ctx.call_sub_orchestrator(child, 4)
        ctx.call_sub_orchestrator(child, 5, retry=RetryPolicy(initial_interval=HOUR))
        await ctx.wait_for_external_event("Go")
        ctx.continue_as_new(number + 1)
    return [ctx.execution, await ctx.call_activity(work, number), await ctx.wait_for_external_event("Later", str)]


def test_what_is_open_is_closed_and_what_comes_of_it_is_dropped() -> None:
    story = AppStory(busy, 0, parent=BOSS)
    story.turn()
    story.turn(SubOrchestrationFailure(execution="x1", seq=5, failure=Failure("Boom", "5", "stack")))
    last = story.turn(RaiseEvent(name="Later", data=raw('"early"')), RaiseEvent(name="Go"))
    assert (last.canceled_timers, last.closed_calls) == ((3, 6), (1, 2))
    assert (last.outbox, last.tasks, last.timers) == ((), (), ())
    assert last.next is not None
    assert (last.next.parent, last.next.number, last.next.first_seq) == (BOSS, 2, 7)

    late = [
        ActivityResult(execution="x1", seq=1, result=raw("1")),
        ActivityFailure(execution="x1", seq=2, failure=Failure("Boom", "2")),
        TimerDue(execution="x1", seq=3, due=0),
        SubOrchestrationResult(execution="x1", seq=4, result=raw("4")),
        TimerDue(execution="x1", seq=6, due=0),
    ]
    first = story.turn(*late)
    assert [task.seq for task in first.tasks] == [7]
    assert story.kinds() == ["ExecutionStarted", "ActivityScheduled"]
    second = story.execution
    ended = story.turn(*late, ActivityResult(execution=second, seq=7, result=raw("7")))
    assert story.result() == f'["{second}",7,"early"]'
    (report,) = ended.outbox
    assert (report.instance, report.message.execution, getattr(report.message, "seq", 0)) == ("boss", "b1", 7)


def test_the_reason_of_the_end_is_in_the_history() -> None:
    story = AppStory(busy, 0)
    story.turn()
    story.turn(RaiseEvent(name="Go"))
    (past,) = story.past
    end = past[-1]
    assert isinstance(end, ExecutionContinuedAsNew)
    assert (end.next, end.call.input) == (story.execution, raw("1"))
