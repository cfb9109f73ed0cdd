"""Real servers for the integration tests: one of each kind per session, a hub of its own per test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from uuid import uuid4

import pytest

from redurable.store.redis.channel import channel_factory
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore, redis_store
from tests.support.servers import KINDS, Server


@pytest.fixture(scope="session", params=KINDS)
def server(request: pytest.FixtureRequest, requires_tool: Callable[..., str]) -> Iterator[Server]:
    """A server that all tests of this session share; each test has a hub of its own on it."""
    if request.param == "redis70":
        requires_tool("redis-server", package="redis-server")
    running = Server(request.param)
    yield running
    running.stop()


@pytest.fixture(params=KINDS)
def own_server(request: pytest.FixtureRequest, requires_tool: Callable[..., str]) -> Iterator[Server]:
    """A server that a test may kill or misconfigure."""
    if request.param == "redis70":
        requires_tool("redis-server", package="redis-server")
    running = Server(request.param, "--appendonly", "yes", "--appendfsync", "always")
    yield running
    running.stop()


@pytest.fixture
def own(server: Server) -> Iterator[Callable[..., Server]]:
    """Servers of the same kind with other options."""
    running: list[Server] = []

    def run(*options: str) -> Server:
        running.append(Server(server.kind, *options))
        return running[-1]

    yield run
    for other in running:
        other.stop()


@pytest.fixture
def hub() -> str:
    """A name that no other test uses."""
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
async def store(server: Server, hub: str) -> AsyncIterator[RedisStore]:
    """An open store with 4 partitions whose consumer is `w1`."""
    opened = redis_store(server.url, hub, consumer="w1", partitions=4)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def foreign(server: Server) -> AsyncIterator[Lane]:
    """A connection of another program, for what it may do to the hub."""
    opened = Lane(channel_factory(server.url))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def other(server: Server, hub: str, store: RedisStore) -> AsyncIterator[RedisStore]:
    """A second worker of the same hub, `w2`."""
    opened = redis_store(server.url, hub, consumer="w2")
    await opened.open()
    yield opened
    await opened.close()
