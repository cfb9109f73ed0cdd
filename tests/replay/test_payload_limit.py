"""The payload limit inside orchestrators: it ends the execution, and it never changes what a replay does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.core.delivery import TurnCommit
from redurable.core.events import ExecutionContinuedAsNew, ExecutionFailed
from redurable.core.messages import SubOrchestrationFailure
from redurable.core.values import Failure, Parent, RuntimeStatus
from redurable.errors import InvalidName, InvalidPayload
from tests.support.app_story import AppStory, event

LIMIT = 1_000
LARGE = "x" * (LIMIT - 1)
"""One byte too many: a string has two quotes."""

app = App("limits")

Make = Callable[[OrchestrationContext, str], Awaitable[object]]


async def _call(ctx: OrchestrationContext, text: str) -> object:
    ctx.call_activity("Save", text)
    return None


async def _call_with_many(ctx: OrchestrationContext, text: str) -> object:
    half = len(text) // 2
    ctx.call_activity("Save", text[:half], text[half:] + "....")
    return None


async def _child(ctx: OrchestrationContext, text: str) -> object:
    ctx.call_sub_orchestrator("Child", text)
    return None


async def _detached(ctx: OrchestrationContext, text: str) -> object:
    return ctx.start_orchestration("Child", text)


async def _event(ctx: OrchestrationContext, text: str) -> object:
    return await ctx.raise_event("other", "Done", text)


async def _status(ctx: OrchestrationContext, text: str) -> object:
    return ctx.set_custom_status(text)


async def _again(ctx: OrchestrationContext, text: str) -> object:
    ctx.continue_as_new(text)


async def _result(ctx: OrchestrationContext, text: str) -> object:
    return text


MAKERS: dict[str, tuple[Make, tuple[str, str]]] = {
    "activity": (_call, ("activity 'Save'", "input")),
    "arguments": (_call_with_many, ("activity 'Save'", "input")),
    "child": (_child, ("orchestrator 'Child'", "input")),
    "detached": (_detached, ("orchestrator 'Child'", "input")),
    "event": (_event, ("event 'Done' to 'other'", "data")),
    "status": (_status, ("set_custom_status()", "status")),
    "continue": (_again, ("continue_as_new()", "input")),
    "result": (_result, ("orchestrator 'make'", "result")),
}


@app.orchestrator
async def make(ctx: OrchestrationContext, how: str) -> object:
    text = await ctx.wait_for_external_event("Text", str)
    return await MAKERS[how][0](ctx, text)


@app.orchestrator
async def handle(ctx: OrchestrationContext, how: str) -> object:
    """Handles the error, and goes on as if it were any other."""
    text = await ctx.wait_for_external_event("Text", str)
    try:
        await MAKERS[how][0](ctx, text)
    except InvalidPayload:
        await ctx.call_activity("SaveElsewhere")
    return None


@app.orchestrator
async def keep(ctx: OrchestrationContext) -> None:
    """Makes payloads of all kinds, and waits in between."""
    text = await ctx.wait_for_external_event("Text", str)
    for make_one in (_call, _child, _detached, _event, _status):
        await make_one(ctx, text)
    await ctx.wait_for_external_event("End")
    ctx.continue_as_new()


@app.orchestrator
async def deep(ctx: OrchestrationContext) -> None:
    await ctx.call_sub_orchestrator("Child")


def begun(story: AppStory, text: str) -> TurnCommit:
    """The turn in which the story's payload is made, under the limit."""
    story.max_payload = LIMIT
    story.turn()
    return story.turn(event("Text", f'"{text}"'))


def assert_refused(failure: Failure, what: tuple[str, str], size: int) -> None:
    assert failure.type == "InvalidPayload"
    owner, part = what
    assert failure.message == (
        f"{owner}: {size:,} bytes of {part} are more than max_payload_bytes (REDURABLE_MAX_PAYLOAD_BYTES) "
        "allows, 1,000: keep the data elsewhere and pass a reference to it"
    )


@pytest.mark.parametrize("how", MAKERS)
def test_a_payload_over_the_limit_ends_the_execution(how: str) -> None:
    story = AppStory(make, how, parent=Parent("boss", "b1", 7))
    commit = begun(story, LARGE)
    size = LIMIT + (7 if how == "arguments" else 1)
    assert story.notes == ()
    assert_refused(story.failure(), MAKERS[how][1], size)
    assert story.status is RuntimeStatus.FAILED
    assert (commit.tasks, commit.custom_status, commit.next) == ((), None, None)
    (report,) = commit.outbox
    assert isinstance(report.message, SubOrchestrationFailure)
    assert_refused(report.message.failure, MAKERS[how][1], size)


@pytest.mark.parametrize("how", [how for how in MAKERS if how != "arguments"])
def test_a_payload_at_the_limit_is_accepted(how: str) -> None:
    story = AppStory(make, how)
    begun(story, LARGE[:-1])
    assert not any(isinstance(happened, ExecutionFailed) for happened in [*story.history, *story.past])


@pytest.mark.parametrize("how", [how for how in MAKERS if how not in ("result", "continue")])
def test_an_orchestrator_that_handles_the_error_ends_all_the_same(how: str) -> None:
    """Were it heard, a replay under another limit would take the other way, and disagree with the history."""
    story = AppStory(handle, how)
    commit = begun(story, LARGE)
    assert story.failure().type == "InvalidPayload"
    assert commit.tasks == ()
    assert story.notes == ()


def test_what_was_accepted_once_replays_under_any_limit() -> None:
    story = AppStory(keep)
    story.turn()
    story.turn(event("Text", f'"{LARGE}"'))
    length = len(story.history)
    story.max_payload = 10
    story.forget()
    story.turn(event("Other"))
    assert len(story.history) == length + 1
    story.turn(event("End"))
    (past,) = story.past
    assert isinstance(past[-1], ExecutionContinuedAsNew)


def test_a_failing_task_that_nobody_awaits_ends_it_too() -> None:
    @app.orchestrator
    async def aside(ctx: OrchestrationContext) -> None:
        task = asyncio.ensure_future(_call(ctx, LARGE))
        await ctx.wait_for_external_event("End")
        await task

    story = AppStory(aside)
    story.max_payload = LIMIT
    story.turn()
    assert story.failure().type == "InvalidPayload"


def test_children_of_long_parents_need_ids_of_their_own() -> None:
    longest = AppStory(deep)
    longest.instance = "p" * 245
    (started,) = longest.turn().outbox
    assert started.instance == "p" * 245 + ":1"
    longer = AppStory(deep)
    longer.instance = "p" * 246
    longer.turn()
    failure = longer.failure()
    assert failure.type == InvalidName.__name__
    assert "would be longer than 256 bytes: choose a shorter one with instance_id=…" in failure.message
