"""A monitor: look, wait, look again, until something is as it should be. Here: where is the parcel?

What to look at: the loop is a literal `while True` with a timer. While it waits it costs an entry in the store, and
nothing else. But it does not live for ever: each round adds EVENTS_PER_ROUND events to the history (an activity is
scheduled and completed, a timer created and fired), and a history has a cap of 50,000: after 12,500 rounds the
monitor would fail. At a fifth of the cap, after 2,500 rounds, `ctx.continue_as_new_suggested` becomes true. That is the
time to go on with an empty history by `continue_as_new`, whose argument is all that the monitor needs to know. At a
look every 30 minutes the cap would be reached after 260 days, and an execution lasts 52.

$ python examples/monitor.py
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from redurable import App, Client, OrchestrationContext, Worker

app = App("monitor")

EVENTS_PER_ROUND = 4

SCANS = {"parcel-7": ["in Riga", "in Riga", "in Berlin", "in Berlin", "in Berlin", "in Porto", "delivered"]}
"""What the carrier answers, one look after the other."""


class Watch(BaseModel):
    """What a monitor knows: it travels from execution to execution."""

    parcel: str
    every: timedelta = timedelta(minutes=30)
    until: datetime
    seen: str = ""
    looks: int = 0


@app.activity
async def locate(parcel: str) -> str:
    """Ask the carrier."""
    scans = SCANS[parcel]
    return scans.pop(0) if len(scans) > 1 else scans[0]


@app.activity
async def tell_customer(parcel: str, where: str) -> None:
    """A message for every change."""
    print(f"{parcel} is {where}")


@app.orchestrator
async def follow(ctx: OrchestrationContext, watch: Watch) -> Watch:
    """Follow a parcel to its end, or until it has taken too long."""
    while True:
        where = await ctx.call_activity(locate, watch.parcel)
        watch.looks += 1
        if where != watch.seen:
            watch.seen = where
            await ctx.call_activity(tell_customer, watch.parcel, where)
        if where == "delivered" or ctx.current_utc_datetime >= watch.until:
            return watch
        await ctx.create_timer(watch.every)
        if ctx.continue_as_new_suggested:
            ctx.continue_as_new(watch)


async def main() -> None:
    """Follow one parcel, with a look every tenth of a second."""
    async with Worker(app).running(), Client(hub=app.name) as client:
        until = datetime.now(UTC) + timedelta(minutes=1)
        watch = Watch(parcel="parcel-7", every=timedelta(seconds=0.1), until=until)
        watch = await (await client.start(follow, watch)).result(timeout=30)
    print(f"seen after {watch.looks} looks")


if __name__ == "__main__":
    asyncio.run(main())
