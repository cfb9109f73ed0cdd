"""Long histories: told of in time, the same on every replay, and ended whole when they are too long."""

from __future__ import annotations

from msgspec import Raw

from redurable.core.codec import decode_event, encode
from redurable.core.events import Event, EventRaised, ExecutionFailed, ExecutionStarted
from redurable.core.history_cap import DEFAULT_CAP, HistoryCap, event_size
from redurable.core.messages import (
    ActivityResult,
    Message,
    RaiseEvent,
    Resume,
    StartExecution,
    SubOrchestrationFailure,
    Suspend,
    Terminate,
)
from redurable.core.values import Arguments, Parent, RuntimeStatus
from tests.support.story import Ctx, Story, raw

CAP = HistoryCap(64, 1_000_000)


def tick(data: str = "1") -> RaiseEvent:
    return RaiseEvent(name="Tick", data=raw(data))


async def listen(ctx: Ctx) -> str:
    while await ctx.event("Tick") != '"stop"':
        if ctx.scope.long:
            ctx.scope.set_custom_status(raw('"long"'))
    return "1"


def long_story(cap: HistoryCap = CAP) -> Story:
    story = Story(listen)
    story.cap = cap
    return story


def test_at_a_fifth_it_is_suggested_once_and_told_once() -> None:
    story = long_story()
    notes: list[str] = []
    statuses: list[Raw | None] = []
    for turn in range(20):
        commit = story.turn(*([tick()] if turn else []))
        notes += story.notes
        statuses.append(commit.custom_status)
    assert [at for at, event in enumerate(story.history) if event.long] == [13]
    assert statuses.index(raw('"long"')) == 13
    (note,) = notes
    assert "14 events" in note
    assert "max_history_events (64)" in note


def test_a_replay_finds_the_same_under_every_setting() -> None:
    async def grow(ctx: Ctx) -> str:
        while True:
            await ctx.event("Tick")
            await ctx.activity("Much" if ctx.scope.long else "Little")

    story = Story(grow)
    story.cap = CAP
    story.turn()
    for number in range(8):
        story.turn(tick())
        story.turn(ActivityResult(execution="x1", seq=number + 1, result=raw("1")))
    names = [getattr(event, "name", "") for event in story.history]
    assert {"Much", "Little"} <= set(names)
    for cap in (HistoryCap(5_000, 10_000), DEFAULT_CAP):
        story.forget()
        story.cap = cap
        assert story.turn(tick()).park is None


def test_a_commit_past_the_cap_is_refused_whole() -> None:
    async def burst(ctx: Ctx) -> str:
        await ctx.event("Tick")
        ctx.scope.set_custom_status(raw("1"))
        ctx.timer(5)
        for _ in range(70):
            ctx.activity("A")
        ctx.child("C")
        return await ctx.event("Tick")

    story = Story(burst)
    story.cap = CAP
    assert story.start is not None
    story.start = StartExecution(name="Story", execution="x1", parent=Parent("boss", "x0", 7))
    story.turn()
    commit = story.turn(tick(), tick("2"))
    (end,) = commit.events
    assert isinstance(end, ExecutionFailed)
    assert (end.failure.type, story.status) == ("HistoryLimitExceeded", RuntimeStatus.FAILED)
    assert "continue_as_new" in end.failure.message
    assert (commit.tasks, commit.timers, commit.custom_status) == ((), (), None)
    (told,) = commit.outbox
    assert told.message == SubOrchestrationFailure(execution="x0", seq=7, failure=end.failure)
    assert len(commit.dead) == 2
    assert commit.consumed
    assert story.kinds() == ["ExecutionStarted", "ExecutionFailed"]


def test_the_first_turn_keeps_its_start() -> None:
    async def burst(ctx: Ctx) -> str:
        for _ in range(70):
            ctx.activity("A")
        return await ctx.event("Tick")

    story = Story(burst)
    story.cap = CAP
    commit = story.turn()
    assert [type(event) for event in commit.events] == [ExecutionStarted, ExecutionFailed]
    assert (commit.tasks, commit.start_consumed) == ((), True)


def test_a_history_may_be_as_long_as_the_cap() -> None:
    story = long_story()
    story.turn()
    for _ in range(63):
        story.turn(tick())
    assert (len(story.history), story.status) == (64, RuntimeStatus.RUNNING)
    commit = story.turn(tick())
    assert (len(story.history), story.status, len(commit.dead)) == (65, RuntimeStatus.FAILED, 1)


def test_what_ends_an_execution_from_outside_is_not_refused() -> None:
    story = long_story()
    story.turn()
    for _ in range(63):
        story.turn(tick())
    story.turn(Terminate())
    assert story.status is RuntimeStatus.TERMINATED


def test_bytes_count_too() -> None:
    story = long_story(HistoryCap(1_000, 10_000))
    large = '"' + "x" * 3_000 + '"'
    story.turn()
    story.turn(tick(large))
    story.turn(tick(large))
    assert [event.long for event in story.history] == [False, False, True]
    story.turn(tick(large))
    assert story.turn(tick(large)).status is RuntimeStatus.FAILED
    end = story.history[-1]
    assert isinstance(end, ExecutionFailed)
    assert "max_history_bytes 10,000" in end.failure.message


def test_how_full_it_is_goes_by_whichever_is_nearer() -> None:
    cap = HistoryCap(100, 10_000)
    assert (cap.filled(80, 1_000), cap.filled(10, 9_000), cap.filled(200, 0)) == (0.8, 0.9, 2.0)


def test_an_execution_that_continues_begins_anew() -> None:
    async def again(ctx: Ctx) -> str:
        while not ctx.scope.long:
            await ctx.event("Tick")
        ctx.scope.continue_as_new(Arguments(), True)

    story = Story(again)
    story.cap = CAP
    story.turn()
    for _ in range(100):
        story.turn(tick())
    assert len(story.past) >= 5
    assert all(len(past) < 20 for past in story.past)


def test_what_a_suspended_instance_records_is_capped_without_its_code() -> None:
    story = long_story()
    story.turn()
    story.turn(Suspend())
    story.forget()
    story.definition = None
    for _ in range(62):
        story.turn(tick())
    assert story.status is RuntimeStatus.SUSPENDED
    commit = story.turn(tick(), Resume())
    assert (story.status, len(commit.dead)) == (RuntimeStatus.FAILED, 1)


def test_a_size_is_that_of_the_payloads_and_is_kept_by_the_wire() -> None:
    events: list[Event] = [EventRaised(at=1, name="A", data=raw("1" * 500)), EventRaised(at=1, name="A", long=True)]
    assert [event_size(event) for event in events] == [600, 104]
    assert [event_size(decode_event(encode(event))) for event in events] == [600, 104]
    assert [decode_event(encode(event)).long for event in events] == [False, True]


def test_a_turn_leaves_messages_to_the_next_one_when_it_has_decided_enough() -> None:
    async def busy(ctx: Ctx) -> str:
        while True:
            await ctx.event("Tick")
            for _ in range(400):
                ctx.activity("A")

    story = Story(busy)
    messages: list[Message] = [tick() for _ in range(5)]
    commit = story.turn()
    commit = story.turn(*messages)
    assert len(commit.tasks) == 1_200
    assert sum(isinstance(event, EventRaised) for event in commit.events) == 3
    assert commit.consumed.endswith("-3")


def test_too_many_commands_in_answer_to_one_message_are_an_error() -> None:
    async def mad(ctx: Ctx) -> str:
        for _ in range(10_001):
            ctx.activity("A")
        return "1"

    commit = Story(mad).turn()
    end = commit.events[-1]
    assert isinstance(end, ExecutionFailed)
    assert (end.failure.type, commit.status) == ("TurnLimitExceeded", RuntimeStatus.FAILED)
    assert "more than 10,000 commands" in end.failure.message
