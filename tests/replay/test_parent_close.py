"""What becomes of a child when nobody waits for it any more: its call is cancelled, or its parent ends."""

from __future__ import annotations

import asyncio

import pytest

from redurable.core.codec import decode_event, encode
from redurable.core.delivery import Outgoing
from redurable.core.events import SubOrchestrationScheduled
from redurable.core.messages import (
    Cancel,
    Message,
    RaiseEvent,
    StartExecution,
    SubOrchestrationFailure,
    SubOrchestrationResult,
    Terminate,
)
from redurable.core.values import Arguments, Child, Failure, Parent, ParentClose, RuntimeStatus
from tests.support.story import Ctx, Story, raw

CALL = Parent("story", "x1", 1)


async def leave_child(ctx: Ctx) -> str:
    ctx.child("Kid", close=ParentClose(ctx.input.strip('"')))
    if await ctx.event("End") == '"fail"':
        raise ValueError
    return "1"


def told(outbox: tuple[Outgoing, ...]) -> list[tuple[str, Message | StartExecution]]:
    return [(sent.instance, sent.message) for sent in outbox]


ENDS: list[tuple[Message, RuntimeStatus]] = [
    (RaiseEvent(name="End"), RuntimeStatus.COMPLETED),
    (RaiseEvent(name="End", data=raw('"fail"')), RuntimeStatus.FAILED),
    (Cancel(), RuntimeStatus.CANCELED),
    (Terminate(), RuntimeStatus.TERMINATED),
]


@pytest.mark.parametrize(("message", "status"), ENDS, ids=[status for _, status in ENDS])
@pytest.mark.parametrize("policy", ParentClose)
def test_an_open_child_ends_with_its_parent_as_its_policy_says(
    message: Message, status: RuntimeStatus, policy: ParentClose
) -> None:
    story = Story(leave_child, f'"{policy}"')
    story.turn()
    scheduled = story.history[1]
    assert isinstance(scheduled, SubOrchestrationScheduled)
    assert scheduled.parent_close is policy
    assert (b"parent_close" in encode(scheduled)) is (policy is not ParentClose.TERMINATE)
    assert decode_event(encode(scheduled)) == scheduled
    commit = story.turn(message)
    assert commit.status is status
    expected: dict[ParentClose, list[Message]] = {
        ParentClose.TERMINATE: [Terminate(reason="its parent has ended", parent=CALL)],
        ParentClose.CANCEL: [Cancel(reason="its parent has ended", id="x1:1", parent=CALL)],
        ParentClose.ABANDON: [],
    }
    assert told(commit.outbox) == [("story:1", sent) for sent in expected[policy]]


def test_a_child_that_has_ended_is_left_alone() -> None:
    story = Story(leave_child, '"terminate"')
    story.turn()
    assert story.turn(SubOrchestrationResult(execution="x1", seq=1), RaiseEvent(name="End")).outbox == ()


def test_detached_children_are_left_alone() -> None:
    async def body(ctx: Ctx) -> str:
        ctx.scope.start_orchestration("Kid", Arguments(), Child("kid"))
        return "1"

    (sent,) = Story(body).turn().outbox
    assert isinstance(sent.message, StartExecution)


def test_cancelling_the_parent_cancels_the_child_that_it_waits_for_and_nothing_terminates_it() -> None:
    async def boss(ctx: Ctx) -> str:
        return await ctx.child("Kid")

    story = Story(boss)
    story.turn()
    commit = story.turn(Cancel(reason="no stock"))
    assert story.kinds()[-2:] == ["SubOrchestrationCancelRequested", "ExecutionCanceled"]
    assert told(commit.outbox) == [
        ("story:1", Cancel(reason="its parent cancelled the call", id="x1:1", parent=CALL)),
    ]


def test_a_cancelled_call_goes_on_without_the_child() -> None:
    async def boss(ctx: Ctx) -> str:
        try:
            return await asyncio.wait_for(ctx.child("Kid"), 60)
        except TimeoutError:
            return await ctx.event("End")

    story = Story(boss)
    story.turn()
    assert len(story.turn(story.due(2)).outbox) == 1
    story.forget()
    late = SubOrchestrationFailure(execution="x1", seq=1, failure=Failure("OrchestrationCanceled", ""))
    assert story.turn(late).events == ()
    assert story.turn(RaiseEvent(name="End")).outbox == ()
    assert story.result() == "null"


def child(parent: Parent, number: int = 1) -> Story:
    async def kid(ctx: Ctx) -> str:
        ctx.child("Grandchild")
        return await ctx.event("End")

    story = Story(kid)
    story.start = StartExecution(name="Story", execution="x1", parent=parent, number=number)
    return story


@pytest.mark.parametrize("number", [1, 2], ids=["first execution", "continued as new"])
@pytest.mark.parametrize("begun", [True, False])
def test_only_the_child_that_is_meant_hears_its_parent(number: int, begun: bool) -> None:
    mine, other = Parent("boss", "bx", 4), Parent("boss", "by", 4)
    story = child(mine, number)
    if begun:
        story.turn()
    kept = story.turn(Terminate(parent=other), Cancel(parent=other))
    assert kept.status is (None if begun else RuntimeStatus.RUNNING)
    commit = story.turn(Terminate(parent=mine))
    assert commit.status is RuntimeStatus.TERMINATED
    ended = [(sent.instance, type(sent.message).__name__) for sent in commit.outbox]
    assert ended == [("story:1", "Terminate"), ("boss", "SubOrchestrationFailure")]


def test_a_message_for_another_child_without_its_code_ends_nobody() -> None:
    story = child(Parent("boss", "bx", 4))
    story.turn()
    story.forget()
    story.definition = None
    commit = story.turn(Terminate(parent=Parent("boss", "by", 4)))
    assert commit.park is not None
    assert story.turn(Terminate(parent=Parent("boss", "bx", 4))).status is RuntimeStatus.TERMINATED
