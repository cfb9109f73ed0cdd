"""Activities in a test environment: retries, time limits and sleeps go by its clock, and it waits for their work."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta

import anyio
import pytest

from redurable import (
    ActivityContext,
    ActivityTimedOut,
    App,
    OrchestrationContext,
    OrchestrationFailed,
    RetryPolicy,
    StartToCloseTimeout,
    WorkerSettings,
)
from redurable.testing import environment
from redurable.testing.environments import START

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def seconds(moments: list[datetime]) -> list[float]:
    """How many seconds after the beginning these were."""
    return [(moment - START).total_seconds() for moment in moments]


async def test_retries_wait_on_the_virtual_clock() -> None:
    app = App("retries")
    tries: list[datetime] = []

    async with environment(app) as env:

        @app.activity(retry=RetryPolicy(max_attempts=4, initial_interval=60 * SECOND, coefficient=2.0))
        async def fails() -> None:
            tries.append(env.now)
            raise ValueError("not today")

        @app.orchestrator
        async def tells(ctx: OrchestrationContext) -> None:
            await ctx.call_activity(fails)

    async with environment(app) as env:
        handle = await env.client.start(tells)
        await env.run_until_idle()
        assert seconds(tries) == [0]
        await env.advance(timedelta(hours=1))
        assert seconds(tries) == [0, 60, 180, 420]
        with pytest.raises(OrchestrationFailed, match="not today") as caught:
            await handle.result()
        assert caught.value.failure.type == "ActivityFailed"


async def test_sleeps_of_activities_are_virtual() -> None:
    app = App("sleeps")

    @app.activity
    async def sleeps(for_seconds: float) -> float:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await asyncio.sleep(for_seconds / 2)
        with anyio.move_on_after(for_seconds / 2) as scope:
            await anyio.sleep(for_seconds)
        assert scope.cancelled_caught
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.sleep(for_seconds)
        return round(loop.time() - begin, 6)

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> list[float]:
        return await asyncio.gather(*(ctx.call_activity(sleeps, number * 86400.0) for number in (1, 2)))

    async with environment(app) as env:
        handle = await env.client.start(main)
        await env.run_until_idle()
        assert env.now == START
        await env.advance(3 * DAY)
        assert await handle.result() == [86401.0, 2 * 86400 + 1]
    assert asyncio.get_running_loop().time() == pytest.approx(time.monotonic(), abs=5)


async def test_time_limits_of_activities_follow_the_virtual_clock() -> None:
    app = App("limits", default_retry=RetryPolicy(max_attempts=2, initial_interval=SECOND))
    seen: list[tuple[str, float]] = []

    @app.activity
    async def sleeps() -> None:
        await asyncio.sleep(600)

    @app.activity
    async def hangs() -> None:
        ActivityContext.current().heartbeat()
        await asyncio.Event().wait()

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> None:
        for limited in (
            sleeps.options(start_to_close_timeout=timedelta(minutes=5)),
            sleeps.options(schedule_to_close_timeout=timedelta(minutes=4)),
            hangs.options(heartbeat_timeout=timedelta(minutes=1)),
        ):
            begin = ctx.current_utc_datetime
            with pytest.raises(ActivityTimedOut) as caught:
                await ctx.call_activity(limited)
            seen.append((type(caught.value).__name__, (ctx.current_utc_datetime - begin).total_seconds()))

    async with environment(app, patience=0.05) as env:
        handle = await env.client.start(main)
        await env.advance(DAY)
        await handle.result()
    assert seen == [("StartToCloseTimeout", 601.0), ("ScheduleToCloseTimeout", 240.0), ("HeartbeatTimeout", 121.0)]


async def test_the_clock_waits_for_activities_that_are_at_work() -> None:
    app = App("work")
    work = asyncio.Event()

    @app.activity(start_to_close_timeout=timedelta(hours=1))
    def counts(to: int) -> int:
        return sum(range(to))

    @app.activity
    async def worked() -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        await work.wait()

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> float:
        counted = [ctx.call_activity(counts, 300_000) for _ in range(4)]
        await asyncio.gather(ctx.call_activity(worked), *counted)
        return (ctx.current_utc_datetime - START).total_seconds()

    async with environment(app) as env, asyncio.TaskGroup() as group:
        handle = await env.client.start(main)
        moved = group.create_task(env.advance(DAY))
        await env.client.get_status(handle.instance_id)
        assert not moved.done()
        work.set()
        await moved
        assert await handle.result() == 0.0


async def test_a_machine_that_stands_still_costs_no_patience() -> None:
    app = App("paused")

    @app.activity(start_to_close_timeout=timedelta(hours=1))
    async def is_paused() -> None:
        for _ in range(4):
            time.sleep(0.03)  # noqa: ASYNC251 - nothing in the process runs
            await asyncio.sleep(0)

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> float:
        await ctx.call_activity(is_paused)
        return (ctx.current_utc_datetime - START).total_seconds()

    async with environment(app, patience=0.02) as env:
        handle = await env.client.start(main)
        await env.advance(DAY)
        assert await handle.result() == 0.0


async def test_an_activity_without_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redurable.testing.environments.LIMIT", 0.05)
    app = App("endless")

    @app.activity
    async def hangs() -> None:
        await asyncio.Event().wait()

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> None:
        await ctx.call_activity(hangs)

    async with environment(app, patience=0.01) as env:
        await env.client.start(main, instance_id="one")
        with pytest.raises(TimeoutError, match=r"'hangs' \(instance 'one'\).*start_to_close_timeout"):
            await env.run_until_idle()


async def test_sleepers_that_fill_the_worker_hold_nobody_up_for_ever() -> None:
    app = App("full")

    @app.activity
    async def sleeps(number: int) -> int:
        await asyncio.sleep(60)
        return number

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> float:
        await asyncio.gather(*(ctx.call_activity(sleeps, number) for number in range(3)))
        return (ctx.current_utc_datetime - START).total_seconds()

    async with environment(app, settings=WorkerSettings(concurrency=1)) as env:
        handle = await env.client.start(main)
        await env.advance(timedelta(hours=1))
        assert await handle.result() == 180


async def test_heartbeats_keep_an_activity_alive_and_reach_its_next_attempt() -> None:
    app, seen = App("beats"), list[object]()

    @app.activity(heartbeat_timeout=timedelta(minutes=2), retry=RetryPolicy(initial_interval=SECOND))
    async def beats() -> None:
        context = ActivityContext.current()
        seen.append(context.last_heartbeat)
        for minute in range(10):
            if context.attempt == 1 and minute == 5:
                await asyncio.sleep(3600)
            await asyncio.sleep(60)
            context.heartbeat(minute)

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> float:
        await ctx.call_activity(beats)
        return (ctx.current_utc_datetime - START).total_seconds()

    async with environment(app) as env:
        handle = await env.client.start(main)
        await env.advance(DAY)
        assert await handle.result() == 5 * 60 + 2 * 60 + 1 + 600
    assert seen == [None, 4]


async def test_what_somebody_else_completes_and_what_takes_too_long() -> None:
    app, tokens = App("others"), list[str]()

    @app.activity(schedule_to_close_timeout=timedelta(days=3))
    def asks() -> bool:
        tokens.append(ActivityContext.current().complete_later())
        return False

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> bool:
        return await ctx.call_activity(asks)

    async with environment(app) as env:
        answered = await env.client.start(main)
        await env.advance(DAY)
        await env.client.complete_activity(tokens[0], True)
        assert await answered.result()
        late = await env.client.start(main)
        never = await env.client.start(main, execution_timeout=DAY)
        await env.advance(4 * DAY)
        with pytest.raises(OrchestrationFailed, match="ScheduleToCloseTimeout"):
            await late.result()
        with pytest.raises(OrchestrationFailed, match="ExecutionTimedOut"):
            await never.result()


async def test_the_clock_loses_its_patience_once() -> None:
    app = App("hangs")

    @app.activity(start_to_close_timeout=timedelta(days=2), retry=RetryPolicy(max_attempts=2, initial_interval=SECOND))
    async def hangs() -> None:
        await asyncio.Event().wait()

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> int:
        call = ctx.call_activity(hangs)
        hours = 0
        while not (await asyncio.wait([call], timeout=3600))[0]:
            hours += 1
        assert isinstance(call.exception(), StartToCloseTimeout)
        return hours

    @app.orchestrator
    async def hourly(ctx: OrchestrationContext) -> None:
        for _ in range(72):
            await asyncio.sleep(3600)

    async with environment(app, patience=0.2) as env:
        limited = await env.client.start(main)
        steady = await env.client.start(hourly)
        begin = time.perf_counter()
        await env.advance(timedelta(days=5))
        assert time.perf_counter() - begin < 15  # 96 hours are 19 s of patience.
        await steady.result()
        assert await limited.result() == 96
