"""`redurable serve`: the API on a port of its own."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Generator, Sequence
from contextlib import AsyncExitStack, contextmanager

import uvicorn

from redurable.client import Client
from redurable.errors import CallerError
from redurable.http.app import ManagementApi
from redurable.http.guard import is_local_host
from redurable.http.keys import ApiKey, keys_of
from redurable.settings import HttpSettings

_KEEP_ALIVE_SECONDS = 75
_DRAIN_SECONDS = 20
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def check_exposure(settings: HttpSettings, keys: Sequence[ApiKey], insecure: bool) -> None:
    """That nobody opens the API to a network by mistake. Raises `CallerError`."""
    if keys or insecure or is_local_host(_bracketed(settings.http_host)):
        return
    raise CallerError(
        f"the API has no keys, so it is not served on {settings.http_host}: give it keys (REDURABLE_HTTP_KEYS_FILE), "
        "leave it on 127.0.0.1, or say --insecure when something else asks for credentials"
    )


async def serve(clients: Sequence[Client], settings: HttpSettings, insecure: bool, ready: str) -> None:
    """Serve until SIGTERM or SIGINT; what is under way is finished. Prints `ready`, and where, when it listens."""
    keys = keys_of(settings)
    check_exposure(settings, keys, insecure)
    async with AsyncExitStack() as stack:
        for client in clients:
            await stack.enter_async_context(client)
        api = ManagementApi(clients, keys=keys, insecure=insecure, settings=settings)
        server = _Server(_config(api, settings), ready)
        await server.serve()
        if not server.started:
            raise CallerError(
                f"the API cannot listen on {settings.http_host}:{settings.http_port}: choose another --port"
            )


def _config(api: ManagementApi, settings: HttpSettings) -> uvicorn.Config:
    return uvicorn.Config(
        api,
        host=settings.http_host,
        port=settings.http_port,
        http="h11",  # It limits what a request's head may hold; httptools, which uvicorn prefers, does not.
        log_config=None,
        access_log=False,  # It would write the keys that stand in URLs.
        lifespan="off",
        server_header=False,
        limit_concurrency=settings.http_max_requests,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


class _Server(uvicorn.Server):
    """Says where it listens once it does: with port 0 only then anybody knows. A signal ends it, and with it the
    process, in good order: uvicorn's own handlers would have the signal kill the process at the end."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in _STOP_SIGNALS:
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            print(f"{self._ready}, listening on http://{_bracketed(host)}:{port}", flush=True)  # noqa: T201


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
