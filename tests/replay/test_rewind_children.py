"""What a child hears of its parent's rewind, and what it answers."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from redurable.core.events import ExecutionFailed
from redurable.core.messages import (
    Cancel,
    Message,
    RaiseEvent,
    Rewind,
    StartExecution,
    SubOrchestrationFailure,
    SubOrchestrationResult,
    Suspend,
    Terminate,
)
from redurable.core.values import Parent, RuntimeStatus
from tests.replay.test_rewind import OOPS, broken, chain, done, sent, seqs
from tests.support.story import Ctx, Story, raw


@pytest.mark.parametrize("end", [Terminate(), Cancel()])
def test_a_child_that_was_ended_goes_on_from_before_that(end: Message) -> None:
    story = Story(chain)
    assert story.start is not None
    story.start = replace(story.start, parent=Parent("boss", "b1", 4))
    story.turn()
    story.turn(done(story, 1))
    story.turn(end)
    assert story.status.finished
    story.turn(Rewind(parent=Parent("boss", "b1", 4), heir="b2", reason="r"))
    assert story.status is RuntimeStatus.RUNNING
    assert seqs(story.turn()) == [2]
    assert sent(story.turn(done(story, 2, "2"))) == [
        ("boss", SubOrchestrationResult(execution="b2", seq=4, result=raw("12")))
    ]


def kid(*, parent: str = "b1") -> Story:
    story = Story(chain)
    story.start = StartExecution(name="Story", execution="x1", parent=Parent("boss", parent, 4))
    story.turn()
    story.turn(done(story, 1))
    return story


ASKED = Rewind(parent=Parent("boss", "b1", 4), heir="b2", reason="repaired")


def test_a_failed_child_is_rewound_and_answers_the_next_execution_of_its_parent() -> None:
    story = kid()
    story.turn(broken(story, 2))
    commit = story.turn(ASKED)
    assert (commit.outbox, commit.next is not None, story.status) == ((), True, RuntimeStatus.RUNNING)
    assert seqs(story.turn()) == [2]
    told = sent(story.turn(broken(story, 2)))
    end = story.history[-1]
    assert isinstance(end, ExecutionFailed)
    assert told == [("boss", SubOrchestrationFailure(execution="b2", seq=4, failure=end.failure))]


def test_a_child_that_completed_gives_its_result_again() -> None:
    story = kid()
    story.turn(done(story, 2, "2"))
    commit = story.turn(RaiseEvent(name="late"), ASKED, RaiseEvent(name="later"))
    assert sent(commit) == [("boss", SubOrchestrationResult(execution="b2", seq=4, result=raw("12")))]
    assert (commit.status, len(commit.dead), story.status) == (None, 1, RuntimeStatus.COMPLETED)


def test_a_child_that_runs_goes_on_and_answers_the_next_execution() -> None:
    story = kid()
    story.turn(ASKED)
    assert story.turn(ASKED).events == ()
    assert story.kinds()[-1] == "ParentRewound"
    stale = Terminate(parent=Parent("boss", "b1", 4))
    assert story.turn(stale).events == ()
    assert sent(story.turn(done(story, 2))) == [
        ("boss", SubOrchestrationResult(execution="b2", seq=4, result=raw("11")))
    ]


def test_a_child_that_ends_in_the_same_turn_still_hears_of_it() -> None:
    story = kid()
    commit = story.turn(done(story, 2), ASKED)
    assert commit.consumed.endswith("-2")
    assert sent(story.turn(ASKED))[0][1] == SubOrchestrationResult(execution="b2", seq=4, result=raw("11"))


def test_a_repetition_means_nothing() -> None:
    story = kid()
    story.turn(broken(story, 2))
    story.turn(ASKED)
    story.turn()
    story.turn(broken(story, 2))
    commit = story.turn(ASKED)
    assert (commit.outbox, commit.next, story.status) == ((), None, RuntimeStatus.FAILED)


def test_another_instance_that_has_the_childs_id_says_so() -> None:
    story = kid(parent="somebody else's")
    story.turn(done(story, 2))
    ((to, told),) = sent(story.turn(ASKED))
    assert isinstance(told, SubOrchestrationFailure)
    assert (to, told.execution, told.seq, told.failure.type) == ("boss", "b2", 4, "InstanceAlreadyExists")


@pytest.mark.parametrize("suspended", [False, True])
def test_another_instance_that_runs_under_the_childs_id_says_so(suspended: bool) -> None:
    story = kid(parent="somebody else's")
    if suspended:
        story.turn(Suspend())
        story.forget()
    commit = story.turn(ASKED)
    ((to, told),) = sent(commit)
    assert isinstance(told, SubOrchestrationFailure)
    assert (to, told.execution, told.seq, told.failure.type) == ("boss", "b2", 4, "InstanceAlreadyExists")
    assert commit.events == ()


def test_a_child_that_was_started_anew_by_the_rewind_goes_on() -> None:
    story = kid(parent="b2")
    assert story.turn(ASKED).outbox == ()


def test_one_that_was_purged_in_between_is_no_reason_to_wait() -> None:
    """It was there for the start that goes before the message, and is gone."""

    async def boss(ctx: Ctx) -> str:
        return await ctx.child("Kid")

    story = Story(boss)
    story.turn()
    story.turn(SubOrchestrationFailure(execution="x1", seq=1, failure=OOPS))
    refusal = story.rewind().outbox[1].refusal
    assert refusal is not None
    story.turn()
    assert (refusal[0], story.status) == ("story", RuntimeStatus.RUNNING)
    story.turn(refusal[1])
    end = story.history[-1]
    assert isinstance(end, ExecutionFailed)
    assert "'story:1' was purged before it could go on" in end.failure.message


def test_an_instance_that_does_not_exist_says_nothing() -> None:
    story = kid()
    # Stories never end like this, so their type does not say it; a store does for what it does not have.
    story.status = None  # pyright: ignore[reportAttributeAccessIssue]
    assert story.turn(ASKED).outbox == ()


def test_a_parent_that_went_on_without_the_child_is_not_told_anything_new() -> None:
    async def boss(ctx: Ctx) -> str:
        try:
            return await ctx.child("Kid")
        except Exception:
            return await ctx.event("Go")

    story = Story(boss)
    story.turn()
    story.turn(SubOrchestrationFailure(execution="x1", seq=1, failure=OOPS))
    assert story.turn(SubOrchestrationResult(execution="x1", seq=1)).events == ()
