"""A worker and a client over a store of our own. Run it twice: the second process goes on where the first one stopped.

$ python examples/custom_store/main.py
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from sqlite_store import open_store

from redurable import App, Client, InstanceNotFound, OrchestrationContext, Worker

FILE = Path("trips.db")
TRIP = "trip-1"

app = App("trips")


@app.activity
async def book(what: str) -> str:
    print(f"  process {os.getpid()} books the {what}")
    return f"{what} booked"


@app.orchestrator
async def plan_trip(ctx: OrchestrationContext, city: str) -> list[str]:
    wanted = [f"train to {city}", "hotel"]
    booked = await asyncio.gather(*(ctx.call_activity(book, what) for what in wanted))
    ctx.set_custom_status("waits for approval")
    if await ctx.wait_for_external_event("Approval", bool):
        booked.append(await ctx.call_activity(book, "museum"))
    return booked


async def main(file: Path) -> None:
    async with (
        open_store(file, app.name, consumer=f"worker-{os.getpid()}") as store,
        Worker.from_store(app, store) as worker,
        Client.from_store(store) as client,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(worker.run())
        await plan(client)
        worker.stop()


async def plan(client: Client) -> None:
    """What a user does: begin a trip, or approve the one that waits."""
    try:
        status = await client.get_status(TRIP)
    except InstanceNotFound:
        await client.start(plan_trip, "Lisbon", instance_id=TRIP)
        await waiting(client)
        print(f"{TRIP} waits for approval. Run this again: another process will go on with it.")
        return
    if not status.runtime_status.finished:
        print(f"{TRIP} was found in the file. It is approved.")
        await client.raise_event(TRIP, "Approval", True, event_id="approval-1")
    print(f"{TRIP}: {await client.get_handle(TRIP, result_type=list[str]).result(timeout=30)}")


async def waiting(client: Client) -> None:
    """Return when the trip says that it waits for approval."""
    while True:
        status = await client.get_status(TRIP)
        if status.custom_status is not None:
            return
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE))
