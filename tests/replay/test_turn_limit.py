"""All payloads of one step together have a limit: a turn is one atomic commit, and no server should choke on it."""

from __future__ import annotations

import pytest

from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.core.events import ActivityScheduled, EventRaised, ExecutionContinuedAsNew, ExecutionFailed
from redurable.core.messages import SubOrchestrationFailure
from redurable.core.values import Parent, RuntimeStatus
from redurable.errors import TurnLimitExceeded
from tests.support.app_story import AppStory, event

LIMIT = 1_000
TEXT = "x" * 98
"""A hundred bytes: a string has two quotes."""

app = App("turns")


@app.orchestrator
async def flood(ctx: OrchestrationContext, count: int) -> None:
    """Makes payloads of all kinds in one step, a hundred bytes each."""
    await ctx.wait_for_external_event("Go")
    for number in range(count):
        match number % 4:
            case 0:
                ctx.call_activity("Save", TEXT)
            case 1:
                ctx.call_sub_orchestrator("Child", TEXT)
            case 2:
                ctx.start_orchestration("Child", TEXT)
            case _:
                await ctx.raise_event("other", "Done", TEXT)
    await ctx.wait_for_external_event("End")


@app.orchestrator
async def stubborn(ctx: OrchestrationContext) -> str:
    """Handles the error, and goes on as if it were any other."""
    await ctx.wait_for_external_event("Go")
    try:
        for _ in range(11):
            ctx.call_activity("Save", TEXT)
    except TurnLimitExceeded:
        await ctx.call_activity("Save less")
    return "done"


@app.orchestrator
async def echo(ctx: OrchestrationContext) -> None:
    """Answers every event with an activity of the same size."""
    while True:
        ctx.call_activity("Save", await ctx.wait_for_external_event("Text", str))


@app.orchestrator
async def whole(ctx: OrchestrationContext, count: int) -> str:
    """Its result comes on top of what its last step makes."""
    await ctx.wait_for_external_event("Go")
    for _ in range(count):
        ctx.call_activity("Save", TEXT)
    return TEXT


@app.orchestrator
async def keep(ctx: OrchestrationContext, keep_events: bool) -> None:
    await ctx.wait_for_external_event("Go")
    ctx.continue_as_new(keep_events, keep_events=keep_events)


@app.orchestrator
async def states(ctx: OrchestrationContext) -> None:
    """Only the last custom status of a turn is written."""
    for _ in range(30):
        ctx.set_custom_status(TEXT)
    await ctx.wait_for_external_event("End")


def limited(story: AppStory) -> AppStory:
    story.max_turn = LIMIT
    story.turn()
    return story


def test_payloads_of_one_step_that_are_too_large_together_end_the_execution() -> None:
    story = limited(AppStory(flood, 11, parent=Parent("boss", "b1", 7)))
    commit = story.turn(event("Go"))
    assert story.status is RuntimeStatus.FAILED
    failure = story.failure()
    assert failure.type == "TurnLimitExceeded"
    assert failure.message == (
        "instance 'story': the payloads of one step are 1,100 bytes together, more than max_turn_bytes "
        "(REDURABLE_MAX_TURN_BYTES) allows, 1,000: await some results in between, or keep the data elsewhere and pass "
        "references to it"
    )
    report = commit.outbox[-1].message
    assert isinstance(report, SubOrchestrationFailure)
    assert report.failure == failure


def test_the_limit_itself_is_accepted_and_every_step_has_its_own() -> None:
    story = limited(AppStory(flood, 10))
    commit = story.turn(event("Go"))
    assert (len(commit.tasks), len(commit.outbox)) == (3, 7)
    assert story.status is RuntimeStatus.RUNNING
    busy = limited(AppStory(echo))
    for _ in range(30):
        busy.turn(event("Text", f'"{TEXT}"'))
    assert busy.status is RuntimeStatus.RUNNING


def test_an_orchestrator_that_handles_the_error_ends_all_the_same() -> None:
    """Were it heard, a replay under another limit would take the other way, and disagree with the history."""
    story = limited(AppStory(stubborn))
    commit = story.turn(event("Go"))
    assert story.failure().type == "TurnLimitExceeded"
    assert [made.name for made in commit.events if isinstance(made, ActivityScheduled)] == ["Save"] * 10
    assert commit.tasks == (), "nobody would hear of them"


def test_what_was_accepted_once_replays_under_any_limit() -> None:
    story = AppStory(flood, 40)
    story.turn()
    story.turn(event("Go"))
    story.max_turn = 10
    story.forget()
    story.turn(event("Other"))
    story.turn(event("End"))
    assert story.status is RuntimeStatus.COMPLETED


@pytest.mark.parametrize(("count", "status"), [(9, RuntimeStatus.COMPLETED), (10, RuntimeStatus.FAILED)])
def test_the_result_counts_with_what_the_last_step_makes(count: int, status: RuntimeStatus) -> None:
    story = limited(AppStory(whole, count))
    story.turn(event("Go"))
    assert story.status is status
    if status is RuntimeStatus.FAILED:
        assert story.failure().type == "TurnLimitExceeded"


def test_events_that_the_next_execution_is_given_count() -> None:
    unread = [event("Other", f'"{TEXT}"') for _ in range(11)]
    dropping = limited(AppStory(keep, False))
    for mail in unread:
        dropping.turn(mail)
    dropping.turn(event("Go"))
    assert isinstance(dropping.past[0][-1], ExecutionContinuedAsNew)
    keeping = limited(AppStory(keep, True))
    for mail in unread:
        keeping.turn(mail)
    keeping.turn(event("Go"))
    assert isinstance(keeping.history[-1], ExecutionFailed)
    assert "the unread events that continue_as_new() keeps" in keeping.failure().message


def test_a_custom_status_that_is_replaced_does_not_count() -> None:
    story = AppStory(states)
    story.max_turn = LIMIT
    assert story.turn().custom_status is not None
    assert story.status is RuntimeStatus.RUNNING


def test_a_turn_that_moved_enough_leaves_the_rest_of_the_mail_to_the_next() -> None:
    """However many large messages wait: no commit is much larger than twice the limit, and nothing is lost."""
    story = limited(AppStory(echo))
    mails = [event("Text", f'"{TEXT}"') for _ in range(20)]
    left, turns = mails, 0
    while left:
        commit = story.turn(*left)
        taken = [made for made in commit.events if isinstance(made, EventRaised)]
        assert 0 < len(taken) < 5
        assert len(taken) == len(commit.tasks)
        left, turns = left[len(taken) :], turns + 1
    assert turns > 1
    assert len([made for made in story.history if isinstance(made, ActivityScheduled)]) == 20
