"""What an instance is started with beside its inputs, tags and memo, and the loggers that know of replays."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest
from msgspec.structs import replace

from redurable import App, OrchestrationContext
from redurable.core.messages import StartExecution
from tests.support.app_story import AppStory, event
from tests.support.story import raw, text

app = App("labels")


@app.orchestrator
async def rounds(ctx: OrchestrationContext, left: int) -> list[Any]:
    await ctx.wait_for_external_event("Next")
    if left:
        ctx.continue_as_new(left - 1)
    with pytest.raises(TypeError):
        cast("Any", ctx.tags)["tenant"] = "other"
    return [dict(ctx.tags), ctx.memo]


@app.orchestrator
async def writes(ctx: OrchestrationContext) -> None:
    audit = ctx.get_logger("shop.audit")
    audit.info("begins")
    await ctx.wait_for_external_event("Next")
    audit.info("goes on with %s", "it")


@app.orchestrator
async def parent(ctx: OrchestrationContext) -> list[Any]:
    ctx.start_orchestration(writes.options(memo={"of": ctx.instance_id}))
    return await ctx.call_sub_orchestrator(rounds, 0, memo=[1], tags={"a": "b"})


def test_children_have_memos_of_their_own() -> None:
    story = AppStory(parent)
    assert story.start is not None
    story.start = replace(story.start, memo=raw('"mine"'))
    starts = [cast("StartExecution", outgoing.message) for outgoing in story.turn().outbox]
    assert [text(start.memo) for start in starts] == ['{"of":"story"}', "[1]"]


def test_tags_and_memo_outlive_executions() -> None:
    story = AppStory(rounds, 2)
    assert story.start is not None
    story.start = replace(story.start, tags={"tenant": "acme"}, memo=raw('{"deal":[7]}'))
    for _ in range(3):
        story.turn(event("Next"))
        story.forget()
    assert story.result() == '[{"tenant":"acme"},{"deal":[7]}]'


def test_a_named_logger_writes_every_line_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shop.audit")
    story = AppStory(writes)
    story.forget()
    story.turn()
    first = len(caplog.records)
    caplog.clear()
    story.forget()
    story.turn(event("Next"))
    lines = [record.getMessage() for record in caplog.records]
    # A story takes every turn twice, cold and warm, to compare them: each writes its new lines, and no old ones.
    assert (first, lines) == (2, ["goes on with it"] * 2)
    assert {(record.name, getattr(record, "instance_id", "")) for record in caplog.records} == {("shop.audit", "story")}
