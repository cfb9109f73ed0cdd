"""A worker in the lifespan of FastAPI; the documents run one in that of Starlette, an integration test in uvicorn."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.testclient import TestClient

from redurable import App, Client, OrchestrationContext, Worker

app = App("web")
workers: list[Worker] = []


@app.orchestrator
async def double(ctx: OrchestrationContext, number: int) -> int:
    return 2 * number


@asynccontextmanager
async def lifespan(web: FastAPI) -> AsyncGenerator[None]:
    async with Worker(app, "memory://").running() as worker, Client("memory://", hub="web") as client:
        workers.append(worker)
        web.state.client = client
        yield


web = FastAPI(lifespan=lifespan)


@web.get("/double/{number}")
async def start(number: int) -> dict[str, int]:
    handle = await web.state.client.start(double, number)
    return {"result": await handle.result(timeout=10)}


def test_a_worker_lives_as_long_as_its_application() -> None:
    with TestClient(web) as http:
        assert http.get("/double/21").json() == {"result": 42}
        assert workers[0].is_running
    assert not workers[0].is_running
