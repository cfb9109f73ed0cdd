"""An ASGI application on uvicorn, on a free port of the loopback, in this event loop."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import httpx2
import uvicorn
from starlette.types import ASGIApp

from tests.support.processes import until


def speaking(transport: httpx2.AsyncBaseTransport | None = None, **options: Any) -> httpx2.AsyncClient:
    """A client of HTTP. Certificates of authorities are not read: that takes longer than most tests."""
    options.setdefault("timeout", 20)
    return httpx2.AsyncClient(transport=transport, verify=False, **options)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield  # The test run keeps its own handlers.


@asynccontextmanager
async def serving(app: ASGIApp, **options: Any) -> AsyncGenerator[str]:
    """Serve it, and yield its URL. `options` are uvicorn's."""
    # With its protocol named: only then asyncio turns Nagle's algorithm off, which costs 40 ms a request.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        # A connection that is idle for 5 s is not closed just when the next request goes out on it.
        options.setdefault("timeout_keep_alive", 60)
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", **options)
        server = _Server(config)
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            await until(lambda: server.started, "uvicorn serves")
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
