"""Code that disagrees with its history, among several workers: who can go on does, and who cannot lets others try."""

from __future__ import annotations

import re

import pytest

from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.client import Client
from redurable.facts import QuarantineEnded, TurnParked, TurnsTaken
from tests.unit.worker.stage import Stage, settings

QUICK = settings(park_min_ms=20, park_max_ms=60)
COUNT = 12

one, two = App("stage"), App("stage")


@one.orchestrator(name="story")
async def story(ctx: OrchestrationContext) -> str:
    first = await ctx.call_activity("say", "one", result_type=str)
    return first + await ctx.wait_for_external_event("Go", str)


@two.orchestrator(name="story")
async def changed_story(ctx: OrchestrationContext) -> str:
    first = await ctx.call_activity("say", "two", result_type=str)
    return first + await ctx.wait_for_external_event("Go", str)


async def say(word: str) -> str:
    return word


one.activity(say)
two.activity(say)


async def _begun(stage: Stage) -> None:
    """Stories that wait for their event, begun by the first code."""
    for number in range(COUNT):
        await stage.start("story", instance=f"s-{number}")
    async with stage.working(one, "w1", settings=QUICK):
        for number in range(COUNT):
            await stage.until_seen(f"s-{number}", lambda seen: seen.length == 3)


async def test_changed_code_is_quarantined_with_the_difference_and_heals_after_a_roll_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    await _begun(stage)
    await stage.raise_event("s-0", "Go", "!")
    async with stage.working(two, "w2", settings=QUICK), Client.from_store(stage.store) as client:
        await stage.until_seen("s-0", lambda seen: seen.parks > 2)
        status = await client.get_status("s-0")
    mark = status.quarantined
    assert mark is not None
    assert (status.runtime_status, status.unread_mail, mark.reason) == ("Running", 1, "nondeterminism")
    assert (mark.position, mark.expected) == (1, "ActivityScheduled seq=1 name='say' (\"one\")")
    assert mark.asked == "ScheduleActivity name='say' (\"two\")"
    assert re.fullmatch(rf"{re.escape(__file__)}:\d+, in changed_story", mark.place)
    assert mark.next_try is not None
    assert mark.next_try > mark.since
    assert caplog.text.count("instance s-0 is quarantined and tried again, later and later: nondeterminism") == 1
    assert {fact.reason for fact in stage.told(TurnParked)} == {"nondeterminism"}

    async with stage.working(one, "w3", settings=QUICK):
        assert await stage.result("s-0") == "one!"
    assert stage.told(QuarantineEnded) == [QuarantineEnded(("story",))]
    healed = await stage.store.get("s-0")
    assert healed is not None
    assert (healed.quarantined, healed.parks) == (None, 0)


async def test_while_the_old_code_still_runs_somewhere_nothing_is_quarantined() -> None:
    stage = Stage()
    await _begun(stage)
    async with (
        stage.working(two, "w2", settings=QUICK),
        stage.working(one, "w3", settings=QUICK),
        Client.from_store(stage.store) as client,
    ):
        await stage.until(lambda: len(stage.hub.workers) == 2)
        for number in range(COUNT):
            await stage.raise_event(f"s-{number}", "Go", "!")
        for number in range(COUNT):
            assert await stage.result(f"s-{number}") == "one!"
            assert (await client.get_status(f"s-{number}")).quarantined is None
    results = [turn.result for fact in stage.told(TurnsTaken) for turn in fact.turns]
    assert 0 < results.count("handed") <= COUNT
    assert results.count("ok") >= COUNT
