"""Workers inside of other programs, on real servers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx2
import pytest

from redurable import App, Client, OrchestrationContext, Worker, WorkerSettings, WorkerStopped
from redurable.store.redis.store import RedisStore
from redurable.worker.membership import Membership
from tests.support.processes import until
from tests.support.servers import Server

QUICK = WorkerSettings(heartbeat_every_ms=100)
orders, billing = App("orders"), App("billing")


@billing.activity
def price(lines: int) -> int:
    return 3 * lines


@orders.orchestrator
async def order(ctx: OrchestrationContext, lines: int) -> object:
    return await ctx.call_activity("price", lines)


class WebServer:
    """uvicorn with the application of `web_app`, on a unix socket."""

    def __init__(self, server: Server, hub: str, folder: Path) -> None:
        self.socket, self._log = folder / "http", folder / "log"
        with self._log.open("wb") as lines:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "tests.integration.web_app:web", "--uds", str(self.socket)],
                env={**os.environ, "TEST_ADDRESS": server.url, "TEST_HUB": hub},
                stdout=lines,
                stderr=lines,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    async def get(self, path: str) -> httpx2.Response:
        transport = httpx2.AsyncHTTPTransport(uds=str(self.socket))
        async with httpx2.AsyncClient(transport=transport, timeout=20) as http:
            return await http.get(f"http://web{path}")


@pytest.fixture
def web(server: Server, hub: str, tmp_path: Path) -> Iterator[WebServer]:
    running = WebServer(server, hub, tmp_path)
    yield running
    if running.process.poll() is None:
        running.process.kill()
    running.process.wait()


async def test_a_worker_stops_with_its_web_server(web: WebServer, server: Server, hub: str) -> None:
    await until(lambda: "Uvicorn running" in web.said, "the web server runs")
    assert (await web.get("/start/0.5")).json() == {"id": "one", "working": True}
    await until(lambda: "at work" in web.said, "the activity runs")
    web.process.send_signal(signal.SIGTERM)
    await until(lambda: web.process.poll() is not None, "the process ends")
    assert web.process.returncode in (0, -signal.SIGTERM), web.said
    assert "the worker has stopped" in web.said
    assert "Traceback" not in web.said
    # What ran was finished, not cut off: its result was stored, and no attempt was lost.
    async with Client(server.url, hub=hub) as client, Worker(app_of_web(), server.url, hub=hub).running():
        assert await client.get_handle("one").result(timeout=10) == "done"
        rows = await client.get_history("one")
        assert [type(row).__name__ for row in rows].count("ActivityStarted") == 1


def app_of_web() -> App:
    """The orchestrator of `web_app` alone: the activity must not run again."""
    app = App("web")

    @app.orchestrator
    async def main(ctx: OrchestrationContext, seconds: float) -> object:
        return await ctx.call_activity("work", seconds)

    assert main.name == "main"
    return app


async def test_several_apps_work_in_the_background(server: Server, hub: str) -> None:
    async with (
        Worker([orders, billing], server.url, hub=hub).running() as worker,
        Client(server.url, hub=hub) as client,
    ):
        handle = await client.start(order, 4)
        assert await handle.result(timeout=10) == 12
        assert worker.is_running
    assert not worker.is_running


async def test_an_error_beside_the_worker_ends_it_at_once(server: Server, hub: str) -> None:
    worker = Worker([orders, billing], server.url, hub=hub)

    async def run() -> None:
        async with worker.running():
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await run()
    assert not worker.is_running


async def test_the_death_of_the_worker_ends_what_waits_beside_it(
    server: Server, hub: str, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(self: Membership) -> int:
        raise RuntimeError("a defect")

    async def run() -> None:
        with anyio.fail_after(10):
            async with Worker([orders, billing], server.url, hub=hub, settings=QUICK).running():
                await asyncio.Event().wait()

    monkeypatch.setattr(Membership, "poll", dies)
    with pytest.raises(WorkerStopped, match="membership died: RuntimeError: a defect"):
        await run()
