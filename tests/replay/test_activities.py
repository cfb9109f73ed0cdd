"""Activities: scheduled when called, settled by their first outcome, in history order."""

from __future__ import annotations

import asyncio

from redurable.core.events import ActivityScheduled, ExecutionCompleted, ExecutionFailed
from redurable.core.messages import ActivityFailure, ActivityResult
from redurable.core.values import Failure, RuntimeStatus
from redurable.errors import ActivityFailed
from tests.support.story import Ctx, Story, raw, text


async def chain(ctx: Ctx) -> str:
    first = await ctx.activity("A", ctx.input)
    return await ctx.activity("B", first)


def done(seq: int, result: str, execution: str = "x1") -> ActivityResult:
    return ActivityResult(execution=execution, seq=seq, result=raw(result))


def test_a_chain_schedules_one_activity_after_the_other() -> None:
    story = Story(chain, '"in"')
    first = story.turn()
    assert [(task.seq, task.name, text(task.call.input)) for task in first.tasks] == [(1, "A", '"in"')]
    assert first.tasks[0].idempotency_key == "story:x1:1"
    assert first.start_consumed
    assert first.status is RuntimeStatus.RUNNING
    second = story.turn(done(1, "7"))
    assert [(task.seq, task.name) for task in second.tasks] == [(2, "B")]
    last = story.turn(done(2, '"out"'))
    assert last.status is RuntimeStatus.COMPLETED
    end = last.events[-1]
    assert isinstance(end, ExecutionCompleted)
    assert text(end.result) == '"out"'
    assert end.commit == last.head
    assert story.kinds() == [
        "ExecutionStarted",
        "ActivityScheduled",
        "ActivityCompleted",
        "ActivityScheduled",
        "ActivityCompleted",
        "ExecutionCompleted",
    ]


def test_only_the_last_event_of_a_commit_carries_its_head() -> None:
    story = Story(chain)
    commit = story.turn()
    assert [event.commit for event in commit.events] == ["", commit.head]


def test_a_second_outcome_and_one_of_another_execution_are_dropped() -> None:
    story = Story(chain)
    story.turn()
    commit = story.turn(done(1, "1", execution="gone"), done(1, "2"), done(1, "3"), done(9, "4"))
    assert [type(event).__name__ for event in commit.events] == ["ActivityCompleted", "ActivityScheduled"]
    assert commit.tasks[0].call.input == raw("2")
    assert commit.consumed.endswith("-4")
    again = story.turn(done(1, "5"))
    assert again.events == ()
    assert again.consumed


def test_a_failure_is_raised_where_it_is_awaited_and_can_be_handled() -> None:
    async def careful(ctx: Ctx) -> str:
        try:
            await ctx.activity("A")
        except ActivityFailed as error:
            return f'"{error.name} {error.type} {error.message} {error.attempts}"'
        return "0"

    story = Story(careful)
    story.turn()
    story.turn(ActivityFailure(execution="x1", seq=1, failure=Failure("CardDeclined", "no money", attempts=3)))
    end = story.history[-1]
    assert isinstance(end, ExecutionCompleted)
    assert text(end.result) == '"A CardDeclined no money 3"'


def test_an_unhandled_failure_fails_the_execution() -> None:
    story = Story(chain)
    story.turn()
    commit = story.turn(ActivityFailure(execution="x1", seq=1, failure=Failure("Boom", "x")))
    end = story.history[-1]
    assert isinstance(end, ExecutionFailed)
    assert end.failure.type == "ActivityFailed"
    assert "A failed: Boom: x" in end.failure.message
    assert commit.status is RuntimeStatus.FAILED


def test_gather_keeps_argument_order_and_wait_resolves_in_history_order() -> None:
    async def fan(ctx: Ctx) -> str:
        calls = [ctx.activity("A", str(n)) for n in range(4)]
        finished, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        first = next(iter(finished)).result()
        return f'"{first}|{",".join(await asyncio.gather(*calls))}"'

    story = Story(fan)
    assert [task.seq for task in story.turn().tasks] == [1, 2, 3, 4]
    story.turn(done(3, "30"), done(1, "10"))
    story.turn(done(4, "40"), done(2, "20"))
    end = story.history[-1]
    assert isinstance(end, ExecutionCompleted)
    assert text(end.result) == '"30|10,20,30,40"'


def test_a_batch_split_anywhere_gives_the_same_history() -> None:
    async def racing(ctx: Ctx) -> str:
        async def branch(name: str) -> str:
            return await ctx.activity("second", await ctx.activity(name))

        return str(len(await asyncio.gather(branch("1"), branch("2"), branch("3"))))

    outcomes = [done(n, str(n)) for n in (2, 3, 1, 4, 6, 5)]
    histories: list[list[str]] = []
    for split in range(len(outcomes) + 1):
        story = Story(racing)
        story.turn()
        story.turn(*outcomes[:split])
        story.forget()
        story.turn(*outcomes[split:])
        histories.append([f"{type(event).__name__} {getattr(event, 'seq', '')}" for event in story.history])
    assert all(history == histories[0] for history in histories)
    assert histories[0][-1].startswith("ExecutionCompleted")


def test_a_cancelled_call_ignores_its_late_outcome() -> None:
    async def impatient(ctx: Ctx) -> str:
        call = ctx.activity("slow")
        try:
            await asyncio.wait_for(call, 5)
        except TimeoutError:
            return await ctx.activity("plan B")
        return "0"

    story = Story(impatient)
    story.turn()
    story.turn(story.due(2))
    story.turn(done(1, '"late"'))
    story.turn(done(3, '"b"'))
    assert story.kinds()[-1] == "ExecutionCompleted"
    scheduled = [event.name for event in story.history if isinstance(event, ActivityScheduled)]
    assert scheduled == ["slow", "plan B"]
