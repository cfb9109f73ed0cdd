"""The API over real HTTP, uvicorn on the loopback, with a hub in memory and a worker in this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx2
import pytest

from redurable import Client, Worker
from redurable.http import ManagementApi
from redurable.http.payloads import WEBHOOKS
from redurable.settings import HttpSettings
from tests.http.apps import app, broken
from tests.http.serving import serving, speaking
from tests.support.processes import until


class Api:
    """A served API: `url` is its base, `http` speaks to its management routes, `client` to its hub."""

    def __init__(self, url: str, http: httpx2.AsyncClient, client: Client) -> None:
        self.url = url
        self.http = http
        self.client = client

    async def end_of(self, instance: str) -> None:
        """Wait until it has ended, however."""
        try:
            await self.client.get_handle(instance).result(timeout=20)
        except TimeoutError:
            raise
        except Exception:
            return


@pytest.fixture
def hub() -> str:
    return f"h-{uuid4().hex[:12]}"


@pytest.fixture
def settings() -> HttpSettings:
    return HttpSettings()


@pytest.fixture
async def client(hub: str) -> AsyncIterator[Client]:
    async with Client("memory://", hub=hub, timeout=5) as client:
        yield client


@asynccontextmanager
async def worked(client: Client, settings: HttpSettings) -> AsyncGenerator[Api]:
    """The API of a hub with a worker, whose functions are known."""

    async def known() -> bool:
        return bool(await client.workers())

    broken.clear()
    broken.add("nothing")
    async with (
        Worker(app, "memory://", hub=client.hub).running(),
        serving(ManagementApi(client, settings=settings)) as url,
        speaking(base_url=f"{url}{WEBHOOKS}", timeout=20) as http,
    ):
        await until(known, "the worker has told what it can do")
        yield Api(url, http, client)


@pytest.fixture
async def api(client: Client, settings: HttpSettings) -> AsyncIterator[Api]:
    async with worked(client, settings) as opened:
        yield opened


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[Api]:
    """One for many tests, which must not mind each other's instances."""
    async with (
        Client("memory://", hub=f"h-{uuid4().hex[:12]}", timeout=5) as client,
        worked(client, HttpSettings()) as opened,
    ):
        yield opened


@pytest.fixture
async def client_only(client: Client, settings: HttpSettings) -> AsyncIterator[Api]:
    """The API of a hub that nobody has created, and without a worker."""
    async with (
        serving(ManagementApi(client, settings=settings)) as url,
        speaking(base_url=f"{url}{WEBHOOKS}", timeout=20) as http,
    ):
        yield Api(url, http, client)
