"""Heartbeats and crashes of activities in a worker: what the next attempt, and the history, know of the last one."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import anyio
import msgspec
import pytest

from redurable.authoring.activity_context import ActivityContext
from redurable.authoring.policies import RetryPolicy
from redurable.core.rows import history_rows
from redurable.store.memory import MemoryStore
from redurable.store.port import TaskDemand, TaskLease
from tests.unit.worker.play import HandClock, Play
from tests.unit.worker.stage import settings


@pytest.mark.parametrize("is_async", [True, False])
async def test_silence_ends_an_attempt_and_what_it_said_goes_to_the_next(is_async: bool) -> None:
    play, clock = Play(heartbeat_timeout=timedelta(milliseconds=500)), HandClock()
    stop = threading.Event()

    def beats() -> None:
        """It lives for longer than the timeout, because it gives signs of life."""
        for line in range(6):
            clock.advance(0.4)
            ActivityContext.current().heartbeat({"line": line})
        clock.advance(0.6)

    async def act() -> str:
        if play.enter().attempt == 2:
            return "done"
        beats()
        await anyio.sleep_forever()
        return "never"

    def act_in_thread() -> str:
        if play.enter().attempt == 2:
            return "done"
        beats()
        stop.wait(20)
        return "never"

    play.acts(act if is_async else act_in_thread)
    await play.stage.start("ask")
    async with play.timed_by(clock):
        assert await play.stage.result() == "done"
        stop.set()
    assert [context.last_heartbeat for context in play.contexts] == [None, {"line": 5}]
    assert await play.rows() == ["Started 1", "AttemptTimedOut 1 HeartbeatTimeout", "Started 2", "Completed"]


async def test_details_of_a_failed_attempt_stay_until_there_are_newer_ones() -> None:
    play = Play()

    async def act() -> str:
        context = play.enter()
        if context.attempt == 1:
            context.heartbeat([1, None, "ü"])
        context.heartbeat()
        if context.attempt < 3:
            raise ValueError("no")
        return "done"

    play.acts(act)
    assert await play.result() == "done"
    assert [context.last_heartbeat for context in play.contexts] == [None, [1, None, "ü"], [1, None, "ü"]]
    assert [partition.beats for partition in play.stage.hub.partitions] == [{}] * 4
    play.assert_two_turns()


async def test_details_are_stored_with_the_next_renewal_and_go_with_the_attempt() -> None:
    play = Play()
    go_on = asyncio.Event()

    async def act() -> str:
        for line in range(1_000):
            play.enter().heartbeat(line)
        await go_on.wait()
        return "done"

    play.acts(act)
    await play.stage.start("ask")
    beats = play.stage.hub.of("one").beats
    async with play.stage.working(play.app, settings=settings(renew_every_ms=20)):
        await play.stage.until(lambda: list(beats.values()) == [b"999"])
        go_on.set()
        assert await play.stage.result() == "done"
    assert beats == {}


async def taken_by_the_dead(play: Play) -> TaskLease:
    """A worker dies when it has received the task."""
    dead = MemoryStore(play.stage.hub, "dead")
    (lease,) = await dead.receive_tasks(TaskDemand(("default",), 10), 10_000)
    return lease


async def test_a_crash_is_an_attempt_of_its_own() -> None:
    play = Play()

    async def act() -> str:
        play.enter()
        return "done"

    play.acts(act)
    quick = settings(task_lease_ms=100, renew_every_ms=20)
    await play.stage.start("ask")
    async with play.stage.working(play.app, roles={"orchestrations"}):
        lease = await taken_by_the_dead(play)
        dead = MemoryStore(play.stage.hub, "dead")
        await dead.renew([], [msgspec.structs.replace(lease, heartbeat=msgspec.Raw(b'{"line":7}'))])
        async with play.stage.working(play.app, "w2-activities", roles={"activities"}, settings=quick):
            assert await play.stage.result() == "done"
    assert await play.rows() == ["Started 1", "AttemptCrashed 1", "Started 2", "Completed"]
    started = [row for row in history_rows(await play.stage.history()) if getattr(row, "worker", "")][:2]
    assert [getattr(row, "worker", "") for row in started] == ["dead", "w2-activities"]
    assert [(context.attempt, context.last_heartbeat) for context in play.contexts] == [(2, {"line": 7})]
    assert play.outcomes == [("crashed", True), ("ok", False)]
    assert play.stage.hub.of("one").beats == {}
    play.assert_two_turns()


async def test_when_the_last_attempt_crashes_the_orchestrator_hears_of_it() -> None:
    play = Play(retry=RetryPolicy(max_attempts=1))

    async def act() -> str:
        play.enter()
        return "never"

    play.acts(act)
    quick = settings(task_lease_ms=50, renew_every_ms=20)
    await play.stage.start("ask")
    async with play.stage.working(play.app, roles={"orchestrations"}):
        await taken_by_the_dead(play)
        async with play.stage.working(play.app, "w2-activities", roles={"activities"}, settings=quick):
            assert await play.stage.result() == "ActivityCrashed"
    assert await play.rows() == ["Started 1", "AttemptCrashed 1", "Failed ActivityCrashed"]
    assert (play.contexts, play.outcomes) == ([], [("crashed", False)])
    play.assert_two_turns()


async def test_who_is_stopped_hands_its_heartbeat_over() -> None:
    play = Play()

    async def act() -> str:
        context = play.enter()
        if len(play.contexts) == 2:
            return "done"
        context.heartbeat({"line": 5})
        await anyio.sleep_forever()
        return "never"

    play.acts(act)
    await play.stage.start("ask")
    async with play.stage.working(play.app, settings=settings(drain_timeout_ms=50)):
        await play.stage.until(lambda: bool(play.contexts))
    assert play.contexts[0].cancelled
    async with play.stage.working(play.app, "w2"):
        assert await play.stage.result() == "done"
    assert [(context.attempt, context.last_heartbeat) for context in play.contexts] == [(1, None), (1, {"line": 5})]
    assert await play.rows() == ["Started 1", "Completed"]
