"""A delayed greeting: durable timers, for which no process has to live.

What to look at: `greet_later` waits by `ctx.create_timer`, for a span or until a moment; the start itself can be
delayed, too (`delay=`). The program lets its first worker end while the timers run. Nothing waits for them then but an
entry in the store; the second worker finds what has become due. A month would be no different from these seconds.

$ python examples/delayed_greeting.py
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from redurable import App, Client, OrchestrationContext, Worker

app = App("delayed-greeting")


@app.activity
async def greet(name: str) -> str:
    """Say it when the time has come."""
    return f"Hello, {name}!"


@app.orchestrator
async def greet_later(ctx: OrchestrationContext, name: str, after: timedelta) -> str:
    """After a span."""
    ctx.set_custom_status(f"waits for {after}")
    await ctx.create_timer(after)
    return await ctx.call_activity(greet, name)


@app.orchestrator
async def greet_at_midnight(ctx: OrchestrationContext, name: str) -> datetime:
    """At a moment. The time comes from the context: the clock of the machine would say something else on a replay."""
    today = ctx.current_utc_datetime.replace(hour=0, minute=0, second=0, microsecond=0)
    await ctx.create_timer(today + timedelta(days=1))
    await ctx.call_activity(greet, name)
    return ctx.current_utc_datetime


async def main() -> None:
    """Two greetings: one that waits for a timer, one that starts late; and two workers that never meet."""
    async with Client(hub=app.name) as client:
        async with Worker(app).running():
            waits = await client.start(greet_later, "Ada", timedelta(seconds=5))
            late = await client.start(greet_later, "Grace", timedelta(0), delay=timedelta(seconds=4))
            await _until_it_waits(client, waits.instance_id)
        print("The first worker has ended; the timers run.")
        for handle in (waits, late):
            status = await client.get_status(handle.instance_id)
            print(f"  {status.runtime_status}: {status.custom_status or 'has not begun'}")
        async with Worker(app).running():
            print(f"A second worker: {await late.result(timeout=30)} {await waits.result(timeout=30)}")


async def _until_it_waits(client: Client, instance: str) -> None:
    while True:
        status = await client.get_status(instance)
        if status.custom_status is not None:
            return
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main())
