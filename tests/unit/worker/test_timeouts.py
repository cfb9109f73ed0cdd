"""Timeouts of activities in a worker: what is cancelled, what is tried again, and what the history shows of it."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import anyio
import pytest

from redurable.authoring.activity_context import ActivityContext
from redurable.authoring.app import App
from redurable.authoring.policies import RetryPolicy
from redurable.core.events import ActivityFailed
from redurable.facts import ActivityAttempted
from redurable.worker import attempt
from tests.unit.worker.play import HandClock, Play
from tests.unit.worker.stage import settings

SOON = timedelta(milliseconds=60)
LATER = timedelta(seconds=20)


async def test_an_async_attempt_that_takes_too_long_is_cancelled_and_made_again() -> None:
    play = Play(start_to_close_timeout=SOON)

    async def act() -> str:
        if play.enter().attempt == 2:
            return "done"
        try:
            await anyio.sleep_forever()
        finally:
            play.cancelled += 1
        return "never"

    play.acts(act)
    assert await play.result() == "done"
    assert [context.cancelled for context in play.contexts] == [True, False]
    assert play.cancelled == 1
    assert await play.rows() == [
        "Started 1",
        "AttemptTimedOut 1 StartToCloseTimeout",
        "Started 2",
        "Completed",
    ]
    assert play.outcomes == [("timeout", True), ("ok", False)]
    play.assert_two_turns()


async def test_a_thread_that_takes_too_long_is_told_and_its_result_is_dropped() -> None:
    play = Play(start_to_close_timeout=SOON)
    go_on, ended = threading.Event(), threading.Event()

    def act() -> str:
        context = play.enter()
        if context.attempt == 2:
            return "second"
        go_on.wait(20)
        ended.set()
        return "first"

    play.acts(act)
    await play.stage.start("ask")
    async with play.stage.working(play.app, settings=settings(thread_concurrency=1)):
        await play.stage.until(lambda: bool(play.stage.told(ActivityAttempted)))
        assert play.contexts[0].cancelled
        # The thread cannot be stopped: its slot is taken until it ends, so no other attempt is even received.
        assert [len(play.contexts), play.stage.held()] == [1, 0]
        go_on.set()
        assert await play.stage.result() == "second"
    assert ended.is_set()
    assert await play.rows() == ["Started 1", "AttemptTimedOut 1 StartToCloseTimeout", "Started 2", "Completed"]


async def test_a_function_that_ignores_its_cancellation_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "CLEANUP_SECONDS", 0.05)
    play = Play(start_to_close_timeout=SOON)
    go_on = asyncio.Event()

    async def act() -> str:
        if play.enter().attempt == 2:
            return "second"
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                play.cancelled += 1
        return "first"

    play.acts(act)
    await play.stage.start("ask")
    async with play.stage.working(play.app):
        assert await play.stage.result() == "second"
        assert play.cancelled == 1
        go_on.set()


async def test_what_the_cleanup_raises_is_the_cause() -> None:
    play = Play(start_to_close_timeout=SOON, retry=RetryPolicy(max_attempts=1))

    async def act() -> str:
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("the file is gone")

    play.acts(act)
    assert await play.result() == "StartToCloseTimeout"
    (outcome,) = [event for event in await play.stage.history() if isinstance(event, ActivityFailed)]
    assert outcome.failure.cause is not None
    assert (outcome.failure.cause.type, outcome.failure.cause.message) == ("OSError", "the file is gone")
    assert (outcome.worker, outcome.failure.attempts) == ("w1", 1)


async def test_a_call_that_takes_too_long_is_cancelled_at_its_limit_and_not_tried_again() -> None:
    play, clock = Play(schedule_to_close_timeout=timedelta(hours=1)), HandClock()

    async def act() -> str:
        if play.enter().attempt == 1:
            raise ValueError("no")
        clock.advance(3_601)
        await anyio.sleep_forever()
        return "never"

    play.acts(act)
    await play.stage.start("ask")
    async with play.timed_by(clock):
        assert await play.stage.result() == "ScheduleToCloseTimeout"
    assert await play.rows() == [
        "Started 1",
        "AttemptFailed 1 ValueError",
        "Started 2",
        "Failed ScheduleToCloseTimeout",
    ]
    assert [context.cancelled for context in play.contexts] == [False, True]
    assert play.stage.hub.of("one").timers == {}


async def test_no_attempt_is_planned_beyond_the_limit_of_the_call() -> None:
    play = Play(schedule_to_close_timeout=LATER, retry=RetryPolicy(initial_interval=timedelta(minutes=1)))

    async def act() -> str:
        play.enter()
        raise ValueError("no")

    play.acts(act)
    with anyio.fail_after(15):
        assert await play.result() == "ScheduleToCloseTimeout"
    (outcome,) = [event for event in await play.stage.history() if isinstance(event, ActivityFailed)]
    assert outcome.failure.cause is not None
    assert outcome.failure.cause.type == "ValueError"
    assert await play.rows() == ["Started 1", "AttemptFailed 1 ValueError", "Failed ScheduleToCloseTimeout"]


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("schedule_to_start_timeout", "ScheduleToStartTimeout"),
        ("schedule_to_close_timeout", "ScheduleToCloseTimeout"),
    ],
)
async def test_a_call_times_out_where_nobody_runs_activities(option: str, name: str) -> None:
    play = Play(**{option: SOON})

    async def act() -> str:
        play.enter()
        return "done"

    play.acts(act)
    assert await play.result(roles={"orchestrations"}) == name
    assert await play.rows() == [f"Failed {name}"]
    partition = play.stage.hub.of("one")
    assert (partition.timers, partition.waits) == ({}, {})

    # A worker that comes late does not begin it, and nobody hears of it again.
    async with play.stage.working(play.app, "w2-activities", roles={"activities"}):
        await play.stage.until(lambda: bool(play.outcomes))
    assert play.outcomes == [("timeout", False)]
    assert (play.contexts, play.stage.held()) == ([], 0)


async def test_an_activity_that_no_worker_knows_is_not_started_in_time() -> None:
    play = Play(schedule_to_start_timeout=timedelta(milliseconds=100))

    async def act() -> str:
        return "done"

    play.acts(act)
    ignorant = App("stage")
    ignorant.activity(name="other")(act)
    await play.stage.start("ask")
    async with (
        play.stage.working(play.app, roles={"orchestrations"}),
        play.stage.working(ignorant, "w2-activities", roles={"activities"}),
    ):
        assert await play.stage.result() == "ScheduleToStartTimeout"


async def test_an_attempt_within_its_limits_is_not_touched() -> None:
    play = Play(
        start_to_close_timeout=LATER,
        heartbeat_timeout=LATER,
        schedule_to_close_timeout=LATER,
        schedule_to_start_timeout=LATER,
    )

    async def act() -> str:
        assert play.enter().attempt == 1
        await anyio.sleep(0.01)
        return ActivityContext.current().idempotency_key

    play.acts(act)
    assert await play.result() == "one:x-one:1"
    assert await play.rows() == ["Started 1", "Completed"]
    partition = play.stage.hub.of("one")
    assert (partition.timers, partition.waits, partition.retries) == ({}, {}, {})


async def test_who_is_cancelled_by_its_worker_is_not_timed_out() -> None:
    play = Play(start_to_close_timeout=LATER)

    async def act() -> str:
        play.enter()
        try:
            await anyio.sleep_forever()
        finally:
            play.cancelled += 1
        return "never"

    play.acts(act)
    await play.stage.start("ask")
    before = asyncio.all_tasks()
    worker = play.stage.worker(play.app)
    async with worker:
        running = asyncio.get_running_loop().create_task(worker.run())
        await play.stage.until(lambda: bool(play.contexts))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert (play.cancelled, play.outcomes) == (1, [("lost", False)])
    assert asyncio.all_tasks() == before
