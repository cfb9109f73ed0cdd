"""`python -m benchmarks.memory`: what an instance, an event and a task cost in the server's memory, in bytes.

The difference of `used_memory` before and after many of them, on a server that is started for it; at the end finished
instances are purged, and what the server has back is compared. Payloads are strings of 100 characters.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio

from benchmarks.bench import side_by_side
from benchmarks.server import running_server
from redurable import App, Client, OrchestrationContext, Worker
from redurable.store.redis.channel import channel_factory
from redurable.store.redis.lane import Lane

HUB = "memory"
MANY = 2_000
TEXT = "x" * 100
UNSERVED = "unserved"
POLL_SECONDS = 0.1
SETTLE_SECONDS = 3.0
"""What workers do after a turn is over by then."""

app = App(HUB)


@app.activity
async def echo(text: str) -> str:
    return text


@app.activity(task_queue=UNSERVED)
async def never(text: str) -> str:
    return text


@app.orchestrator
async def three_activities(ctx: OrchestrationContext, text: str) -> str:
    for _ in range(3):
        text = await ctx.call_activity(echo, text)
    return text


@app.orchestrator
async def waits_for_event(ctx: OrchestrationContext, text: str) -> str:
    return await ctx.wait_for_external_event("Go", str)


@app.orchestrator
async def waits_for_timer(ctx: OrchestrationContext, text: str) -> str:
    await ctx.create_timer(timedelta(days=1))
    return text


@app.orchestrator
async def long_history(ctx: OrchestrationContext, activities: int) -> None:
    for _ in range(activities):
        await ctx.call_activity(echo, TEXT)
    ctx.set_custom_status("long")
    await ctx.wait_for_external_event("Go")


@app.orchestrator
async def many_tasks(ctx: OrchestrationContext, tasks: int) -> None:
    await asyncio.gather(*(ctx.call_activity(never, TEXT) for _ in range(tasks)))


class Scales:
    """Weighs what is put into the hub."""

    def __init__(self, client: Client, lane: Lane) -> None:
        self.client = client
        self._lane = lane

    async def used(self) -> int:
        """The server's `used_memory`, once everything has settled."""
        await anyio.sleep(SETTLE_SECONDS)
        text: bytes = await self._lane.call("INFO", "memory")
        return next(int(row[12:]) for row in text.decode().splitlines() if row.startswith("used_memory:"))

    async def weigh(self, count: int, put: Callable[[], Awaitable[object]]) -> int:
        """Bytes for each of `count` that `put` puts there."""
        before = await self.used()
        await put()
        return round((await self.used() - before) / count)

    async def instances(self, orchestrator: Any, status: str) -> int:
        """Bytes of one instance that has come to this status."""
        name = orchestrator.__name__

        async def start(number: int) -> None:
            await self.client.start(orchestrator, TEXT, instance_id=f"{name}-{number:06}")

        async def put() -> None:
            await side_by_side(start, range(MANY))
            while (await self.client.count_instances()).get((name, status), 0) < MANY:  # noqa: ASYNC110 - a worker does it
                await anyio.sleep(POLL_SECONDS)

        return await self.weigh(MANY, put)

    async def put_history(self) -> None:
        """One instance with `MANY` events and a few."""
        await self.client.start(long_history, MANY // 3, instance_id="long")
        while (await self.client.get_status("long")).custom_status != "long":  # noqa: ASYNC110 - a worker does it
            await anyio.sleep(POLL_SECONDS)

    async def put_tasks(self) -> None:
        """`MANY` tasks that nobody takes."""
        await self.client.start(many_tasks, MANY)
        while (await self.client.depths([UNSERVED])).queues[UNSERVED].lag < MANY:  # noqa: ASYNC110 - a worker does it
            await anyio.sleep(POLL_SECONDS)


@asynccontextmanager
async def _scales() -> AsyncGenerator[Scales]:
    with running_server() as socket:
        address = f"unix://{socket}"
        lane = Lane(channel_factory(address))
        worker = Worker(app, address, task_queues={"default"})
        try:
            async with Client(address, hub=HUB) as client, worker.running():
                yield Scales(client, lane)
        finally:
            await lane.close()


async def run() -> dict[str, int]:
    """Bytes by what was weighed."""
    async with _scales() as scales:
        figures = {
            "server_with_an_empty_hub_and_its_worker": await scales.used(),
            "finished_instance_of_three_activities": await scales.instances(three_activities, "Completed"),
            "instance_that_waits_for_an_event": await scales.instances(waits_for_event, "Running"),
            "instance_that_waits_for_a_timer": await scales.instances(waits_for_timer, "Running"),
            "event_of_a_history": await scales.weigh(MANY, scales.put_history),
            "task_that_waits": await scales.weigh(MANY, scales.put_tasks),
        }
        gone = await scales.weigh(MANY, lambda: scales.client.purge_instances(name="three_activities"))
        return {**figures, "given_back_by_the_purge_of_a_finished_one": -gone}


if __name__ == "__main__":
    print(json.dumps(anyio.run(run)))
    sys.exit(0)
