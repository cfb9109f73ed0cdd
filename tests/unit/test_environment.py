"""The test environment: time passes only when it is told to, and then everything due happens in its order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from redurable import (
    App,
    CallerError,
    OrchestrationContext,
    OrchestrationFailed,
    RuntimeStatus,
    WorkerSettings,
    WorkerStopped,
)
from redurable.store.memory import MemoryStore
from redurable.testing import environment
from redurable.testing.environments import START

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


async def test_days_pass_in_milliseconds_and_every_timer_fires_at_its_own_time() -> None:
    app = App("days")
    seen: list[tuple[str, datetime]] = []

    @app.activity
    def note(who: str, when: datetime) -> None:
        seen.append((who, when))

    @app.orchestrator
    async def daily(ctx: OrchestrationContext, every: float, times: int) -> int:
        for _ in range(times):
            await asyncio.sleep(every)
            await ctx.call_activity(note, ctx.instance_id, ctx.current_utc_datetime)
        return times

    async with environment(app) as env:
        slow = await env.client.start(daily, 3 * 86400.0, 2, instance_id="slow")
        quick = await env.client.start(daily, 2 * 86400.0, 4, instance_id="quick")
        await env.advance(6 * DAY)
        assert env.now == START + 6 * DAY
        assert (await env.client.get_status("quick")).runtime_status is RuntimeStatus.RUNNING
        assert await slow.result() == 2
        await env.advance(2 * DAY - timedelta(milliseconds=1))
        assert len(seen) == 5
        await env.advance(timedelta(milliseconds=1))
        assert await quick.result() == 4
    days = [(who, (when - START) / DAY) for who, when in seen]
    assert days[:2] == [("quick", 2), ("slow", 3)]
    assert sorted(days[2:5]) == [("quick", 4), ("quick", 6), ("slow", 6)]
    assert days[5:] == [("quick", 8)]


async def test_nothing_happens_by_itself() -> None:
    app = App("still")

    @app.orchestrator
    async def waits(ctx: OrchestrationContext) -> bool:
        return await ctx.wait_for_external_event("Go", bool, timeout=timedelta(hours=1))

    async with environment(app, start=datetime(2030, 5, 1, tzinfo=UTC)) as env:
        late = await env.client.start(waits, delay=timedelta(minutes=10))
        heard = await env.client.start(waits)
        await env.run_until_idle()
        assert env.now == datetime(2030, 5, 1, tzinfo=UTC)
        assert (await env.client.get_status(late.instance_id)).runtime_status is RuntimeStatus.PENDING
        assert (await env.client.get_status(heard.instance_id)).runtime_status is RuntimeStatus.RUNNING
        await env.advance(timedelta(minutes=69, seconds=59))
        await env.client.raise_event(late.instance_id, "Go", True)
        assert await late.result(timeout=15)
        with pytest.raises(OrchestrationFailed, match="no event 'Go' came within 1:00:00"):
            await heard.result(timeout=15)


async def test_several_apps_children_and_rounds() -> None:
    orders, billing = App("orders"), App("billing")

    @billing.activity(task_queue="money")
    def charge(amount: int) -> int:
        return amount * 2

    @billing.orchestrator
    async def bill(ctx: OrchestrationContext, amount: int) -> int:
        await asyncio.sleep(3600)
        return await ctx.call_activity(charge, amount)

    @orders.orchestrator
    async def rounds(ctx: OrchestrationContext, left: int, total: int = 0) -> int:
        total += await ctx.call_sub_orchestrator(bill, left)
        if left > 1:
            ctx.continue_as_new(left - 1, total)
        return total

    async with environment(orders, billing, hub="shop", partitions=4, settings=WorkerSettings(batch=2)) as env:
        handles = [await env.client.start(rounds, number) for number in (1, 2, 3)]
        await env.advance(timedelta(hours=3))
        assert [await handle.result() for handle in handles] == [2, 6, 12]


async def test_two_runs_are_the_same() -> None:
    app = App("same")

    @app.activity
    def plain(number: int) -> int:
        return number

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> list[int]:
        calls = [ctx.call_activity(plain, number) for number in range(20)]
        await ctx.select(ctx.create_timer(SECOND), ctx.wait_for_external_event("E"))
        return await ctx.join(*calls)

    async def run() -> list[tuple[str, int]]:
        async with environment(app) as env:
            await env.client.start(main, instance_id="one")
            await env.advance(2 * SECOND)
            return [(type(row).__name__, getattr(row, "at", 0)) for row in await env.client.get_history("one")]

    first = await run()
    assert len(first) > 60
    assert await run() == first


async def test_mistakes_and_deaths_come_out(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App("wrong")
    with pytest.raises(CallerError, match="without a zone"):
        environment(app, start=datetime(2026, 1, 1))
    async with environment(app) as env:
        with pytest.raises(CallerError, match="time does not go back"):
            await env.advance(-SECOND)

    async def dies(*_: object) -> None:
        raise RuntimeError("the disk is gone")

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> None: ...

    monkeypatch.setattr(MemoryStore, "checkout", dies)

    async def run() -> None:
        async with environment(app) as env:
            await env.client.start(main)
            await env.run_until_idle()

    with pytest.raises(WorkerStopped, match="the disk is gone"):
        await run()


async def test_an_error_of_the_test_itself_comes_out_as_it_is() -> None:
    app = App("body")

    @app.activity
    async def sleeps() -> None:
        await asyncio.sleep(1e9)

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> None:
        await ctx.call_activity(sleeps)

    async def run() -> None:
        async with environment(app) as env:
            await env.client.start(main)
            await env.advance(DAY)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await run()


async def test_two_environments_have_each_its_own_time() -> None:
    app = App("two")

    @app.activity
    async def sleeps() -> None:
        await asyncio.sleep(86400)

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> None:
        await ctx.call_activity(sleeps)

    async with environment(app) as one, environment(app, hub="other") as two:
        first, second = [await env.client.start(main, instance_id="same") for env in (one, two)]
        await one.advance(DAY)
        await first.result()
        await two.run_until_idle()
        assert (await two.client.get_status("same")).runtime_status is RuntimeStatus.RUNNING
        assert (one.now, two.now) == (START + DAY, START)
        await two.advance(DAY)
        await second.result()
