"""Children: what their parent decides about them, and policies that call them again after a failure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from redurable import App, Backoff, OrchestrationContext, RetryPolicy
from redurable.core.delivery import TurnCommit
from redurable.core.events import (
    OrchestrationScheduled,
    SubOrchestrationScheduled,
    TimerCanceled,
    TimerCreated,
)
from redurable.core.messages import (
    Message,
    RaiseEvent,
    Resume,
    StartExecution,
    SubOrchestrationFailure,
    SubOrchestrationResult,
    Suspend,
)
from redurable.core.retry import next_delay
from redurable.core.values import Failure
from redurable.errors import InvalidName, SubOrchestrationFailed
from tests.support.app_story import AppStory
from tests.support.story import T0, raw

app = App("family")
THRICE = RetryPolicy(max_attempts=3, initial_interval=timedelta(seconds=10), backoff=Backoff.LINEAR)


@app.orchestrator
async def child(ctx: OrchestrationContext, number: int) -> int:
    raise NotImplementedError


def starts(commit: TurnCommit) -> dict[str, StartExecution]:
    """The children that a turn started, by their instance."""
    return {o.instance: o.message for o in commit.outbox if isinstance(o.message, StartExecution)}


def failed(seq: int, kind: str = "Boom", stack: str = "child.py:1", cause: Failure | None = None) -> Any:
    failure = Failure(kind, f"no {seq}", stack, cause=cause)
    return SubOrchestrationFailure(execution="x1", seq=seq, failure=failure)


def done(seq: int, result: str) -> SubOrchestrationResult:
    return SubOrchestrationResult(execution="x1", seq=seq, result=raw(result))


def made(story: AppStory, kind: Any) -> list[Any]:
    return [event for event in story.history if isinstance(event, kind)]


def test_a_child_has_the_tags_and_the_delay_that_it_is_given() -> None:
    @app.orchestrator(name="tagging")
    async def parent(ctx: OrchestrationContext) -> int:
        ctx.start_orchestration(child, 1, instance_id="audit", tags={"a": "b"}, delay=timedelta(seconds=5))
        ctx.start_orchestration(child.options(tags={"c": "d"}, instance_id="plain"), number=1)
        return await ctx.call_sub_orchestrator(child, 1, tags={"e": "f"}, delay=timedelta(minutes=1))

    story = AppStory(parent)
    begun = starts(story.turn())
    assert {name: (start.tags, start.not_before) for name, start in begun.items()} == {
        "audit": ({"a": "b"}, T0 + 5_000),
        "plain": ({"c": "d"}, 0),
        "story:3": ({"e": "f"}, T0 + 60_000),
    }
    assert [event.not_before for event in made(story, OrchestrationScheduled)] == [T0 + 5_000, 0]
    assert [event.not_before for event in made(story, SubOrchestrationScheduled)] == [T0 + 60_000]
    story.turn(done(3, "7"))
    assert story.result() == "7"


@app.orchestrator
async def persistent(ctx: OrchestrationContext, instance: str | None) -> int:
    call = ctx.call_sub_orchestrator(child, 5, instance_id=instance, retry=THRICE, delay=timedelta(seconds=1))
    return await call


@pytest.mark.parametrize(("instance", "ids"), [(None, ["1", "3", "5"]), ("kid", ["kid", "kid:2", "kid:3"])])
def test_a_child_that_failed_is_called_again_as_a_new_instance(instance: str | None, ids: Sequence[str]) -> None:
    story = AppStory(persistent, instance)
    names = [name if instance else f"story:{name}" for name in ids]
    first = starts(story.turn())
    assert {name: start.not_before for name, start in first.items()} == {names[0]: T0 + 1_000}
    (timer,) = story.turn(failed(1), after=2).timers
    assert timer.due == T0 + 12_000
    story.forget()
    assert {name: start.not_before for name, start in starts(story.turn(story.due(2))).items()} == {names[1]: 0}
    (timer,) = story.turn(failed(3)).timers
    assert timer.due == T0 + 32_000
    assert list(starts(story.turn(story.due(4)))) == [names[2]]
    story.turn(done(5, "6"))
    assert story.result() == "6"
    assert [(e.instance, e.attempt) for e in made(story, SubOrchestrationScheduled)] == [
        (name, attempt) for attempt, name in enumerate(names, 1)
    ]


def test_when_no_attempt_is_left_the_last_failure_is_told_with_their_number() -> None:
    story = AppStory(persistent, None)
    story.turn()
    for seq in (1, 3):
        story.turn(failed(seq))
        story.turn(story.due(seq + 1))
    story.turn(failed(5, cause=Failure("Root", "deep")))
    failure = story.failure()
    assert (failure.type, failure.message) == ("SubOrchestrationFailed", "child failed after 3 attempts: Boom: no 5")
    assert failure.cause == Failure("Boom", "no 5", "child.py:1", attempts=3, cause=Failure("Root", "deep"))


@pytest.mark.parametrize(
    "end",
    [
        failed(1, "InstanceAlreadyExists", stack=""),
        failed(1, "OrchestrationTerminated", stack=""),
        failed(1, "OrchestrationCanceled", stack=""),
        failed(1, "Hopeless"),
        failed(1, "ActivityFailed", cause=Failure("Hopeless", "declined")),
        failed(1, "SubOrchestrationFailed", cause=Failure("ActivityCrashed", "", cause=Failure("Hopeless", ""))),
    ],
    ids=lambda end: f"{end.failure.type} of {end.failure.cause.type if end.failure.cause else 'nothing'}",
)
def test_what_another_attempt_would_not_change_ends_the_call(end: SubOrchestrationFailure) -> None:
    class Hopeless(Exception):
        pass

    @app.orchestrator(name=f"picky-{id(end)}")
    async def parent(ctx: OrchestrationContext) -> int:
        picky = RetryPolicy(non_retryable=[Hopeless, "shop.Other"])
        with pytest.raises(SubOrchestrationFailed) as error:
            await ctx.call_sub_orchestrator(child, 1, retry=picky)
        assert error.value.type == end.failure.type
        return error.value.attempts

    story = AppStory(parent)
    story.turn()
    assert story.turn(end).timers == ()
    assert story.result() == "1"


def test_an_error_of_user_code_is_retried_whatever_it_is_called() -> None:
    story = AppStory(persistent, None)
    story.turn()
    assert len(story.turn(failed(1, "InstanceAlreadyExists")).timers) == 1
    story.turn(story.due(2))
    assert len(story.turn(failed(3, "Wrapped", cause=Failure("OrchestrationTerminated", ""))).timers) == 1


def test_the_jitter_is_that_of_the_place_in_the_history() -> None:
    policy = RetryPolicy(max_attempts=2, initial_interval=timedelta(seconds=100), jitter=0.5)

    @app.orchestrator(name="spread")
    async def parent(ctx: OrchestrationContext) -> list[int]:
        return await asyncio.gather(*(ctx.call_sub_orchestrator(child, n, retry=policy) for n in range(3)))

    story = AppStory(parent)
    story.turn()
    story.turn(failed(2), failed(1))
    story.forget()
    story.turn(failed(3))
    delays = [timer.due - T0 for timer in made(story, TimerCreated)]
    assert delays == [next_delay(policy.wire, 1, f"x1:{place}") for place in (5, 7, 9)]
    assert len(set(delays)) == 3


def test_cancelling_the_call_cancels_what_it_waits_for() -> None:
    @app.orchestrator(name="impatient")
    async def parent(ctx: OrchestrationContext) -> int:
        call = ctx.call_sub_orchestrator(child, 1, retry=THRICE)
        index, _ = await ctx.select(call, ctx.wait_for_external_event("Enough"))
        assert call.cancelled()
        await ctx.wait_for_external_event("End")
        return index

    pausing = AppStory(parent)
    pausing.turn()
    pausing.turn(failed(1))
    assert pausing.turn(RaiseEvent(name="Enough")).canceled_timers == (2,)
    assert [event.seq for event in made(pausing, TimerCanceled)] == [2]
    calling = AppStory(parent)
    calling.turn()
    calling.turn(RaiseEvent(name="Enough"))
    assert calling.turn(failed(1)).timers == ()
    calling.turn(RaiseEvent(name="End"))
    assert (calling.result(), len(made(calling, TimerCreated))) == ("1", 0)


def test_an_execution_that_ends_calls_nobody_again() -> None:
    @app.orchestrator(name="hasty")
    async def parent(ctx: OrchestrationContext, number: int) -> str:
        if not number:
            ctx.call_sub_orchestrator(child, 1, retry=THRICE)
            await ctx.wait_for_external_event("Enough")
            ctx.continue_as_new(1)
        return "over"

    for paused in (True, False):
        story = AppStory(parent, 0)
        story.turn()
        last: Message = failed(1)
        if paused:
            story.turn(last)
            last = story.due(2)
        story.turn(Suspend(), RaiseEvent(name="Enough"), last)
        ended = story.turn(Resume())
        assert (ended.next is not None, starts(ended), ended.timers, story.notes) == (True, {}, (), ())
        story.turn()
        assert story.result() == '"over"'


def test_a_retried_call_takes_its_place_in_the_order_of_the_history() -> None:
    @app.orchestrator(name="racing")
    async def parent(ctx: OrchestrationContext) -> list[int]:
        calls = [ctx.call_sub_orchestrator(child, n, retry=THRICE) for n in range(3)]
        return await ctx.join(*calls)

    story = AppStory(parent)
    story.turn()
    story.turn(failed(1))
    story.turn(done(3, "3"), story.due(4))
    story.turn(done(5, "1"))
    story.turn(done(2, "2"))
    assert json.loads(story.result()) == [3, 1, 2]


def test_another_policy_is_another_program() -> None:
    story = AppStory(persistent, None)
    story.turn()
    story.turn(failed(1))
    at = story.kinds().index("TimerCreated")
    created = story.history[at]
    assert isinstance(created, TimerCreated)
    story.history[at] = replace(created, due=created.due + 1)
    story.forget()
    park = story.turn(story.due(2)).park
    assert park is not None
    assert (park.reason, f"due={created.due} " in park.detail) == ("nondeterminism", True)


def test_ids_that_later_attempts_would_not_fit_into_are_refused_at_once() -> None:
    @app.orchestrator(name="wordy")
    async def parent(ctx: OrchestrationContext) -> int:
        with pytest.raises(InvalidName, match="has 257 bytes"):
            ctx.call_sub_orchestrator(child, 1, instance_id="x" * 255, retry=THRICE)
        return await ctx.call_sub_orchestrator(child, 1, instance_id="x" * 254, retry=THRICE)

    story = AppStory(parent)
    assert list(starts(story.turn())) == ["x" * 254]


def test_a_retry_timeout_ends_a_policy_that_does_not() -> None:
    policy = RetryPolicy(
        max_attempts=99,
        initial_interval=timedelta(seconds=10),
        backoff=Backoff.FIXED,
        retry_timeout=timedelta(seconds=25),
    )

    @app.orchestrator(name="patient")
    async def patient(ctx: OrchestrationContext) -> str:
        try:
            await ctx.call_sub_orchestrator(child, 1, retry=policy, execution_timeout=timedelta(seconds=5))
        except SubOrchestrationFailed as error:
            return f"{error.type} {error.attempts}"
        return "?"

    story = AppStory(patient)
    (first,) = starts(story.turn()).values()
    assert first.execution_timeout == 5_000
    for seq in (1, 3):
        story.turn(failed(seq, "ExecutionTimedOut", stack=""), after=1)
        (again,) = starts(story.turn(story.due(seq + 1))).values()
        assert again.execution_timeout == 5_000
    story.turn(failed(5, "ExecutionTimedOut", stack=""), after=1)
    assert json.loads(story.result()) == "ExecutionTimedOut 3"
