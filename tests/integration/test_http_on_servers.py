"""`ctx.call_http` on real servers: the worker dies between two polls, and another one, which knows nothing, goes on."""

from __future__ import annotations

import asyncio

from redurable import App, Client, OrchestrationContext, Worker
from tests.integration.test_worker_on_servers import QUICK
from tests.support.http_server import Answer, Asked, HttpServer
from tests.support.processes import until
from tests.support.servers import Server

app = App("http")


@app.orchestrator
async def fetch(ctx: OrchestrationContext, url: str) -> str:
    response = await ctx.call_http("POST", url, content={"order": 7})
    return f"{response.status} {response.content}"


class Job:
    """It is done when it was asked for the third time; `polled` says when it was asked first."""

    def __init__(self) -> None:
        self.polled = asyncio.Event()
        self._left = 2

    async def answer(self, asked: Asked) -> Answer:
        if asked.method == "POST" or self._left > 0:
            self._left -= asked.method == "GET"
            if asked.method == "GET":
                self.polled.set()
            return Answer(202, {"Location": "/jobs/7", "Retry-After": "1"})
        return Answer(200, {}, b"done")


async def test_a_crash_between_two_polls(server: Server, hub: str) -> None:
    job = Job()
    async with HttpServer(job.answer) as http, Client(server.url, hub=hub) as client:
        async with Worker(app, server.url, hub=hub, settings=QUICK) as first:
            crashing = asyncio.create_task(first.run())
            handle = await client.start(fetch, f"{http.url}/orders")
            await asyncio.wait_for(job.polled.wait(), 10)

            async def waits() -> bool:
                return type((await client.get_history(handle.instance_id))[-1]).__name__ == "TimerCreated"

            await until(waits, "the second timer")
            crashing.cancel()  # nothing is drained, nothing handed back
            await asyncio.wait([crashing])
        async with Worker(app, server.url, hub=hub, settings=QUICK).running():
            assert await handle.result(timeout=20) == "200 done"
    assert [asked.method for asked in http.asked] == ["POST", "GET", "GET", "GET"]
