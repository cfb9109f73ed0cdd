"""A web application with a worker in its lifespan, served by uvicorn in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from redurable import App, Client, OrchestrationContext, Worker

ADDRESS, HUB = os.environ["TEST_ADDRESS"], os.environ["TEST_HUB"]
app = App("web")


@app.activity
async def work(seconds: float) -> str:
    sys.stderr.write("at work\n")
    await asyncio.sleep(seconds)
    return "done"


@app.orchestrator
async def main(ctx: OrchestrationContext, seconds: float) -> str:
    return await ctx.call_activity(work, seconds)


@asynccontextmanager
async def lifespan(web: Starlette) -> AsyncGenerator[None]:
    async with Worker(app, ADDRESS, hub=HUB).running() as worker, Client(ADDRESS, hub=HUB) as client:
        web.state.worker, web.state.client = worker, client
        sys.stderr.write("the worker is ready\n")
        yield
    sys.stderr.write("the worker has stopped\n")


async def start(request: Request) -> JSONResponse:
    handle = await request.app.state.client.start(main, float(request.path_params["seconds"]), instance_id="one")
    return JSONResponse({"id": handle.instance_id, "working": request.app.state.worker.is_running})


web = Starlette(routes=[Route("/start/{seconds}", start)], lifespan=lifespan)
