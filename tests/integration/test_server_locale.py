"""A server that was started in the locale of a language: it compares texts in scripts as that language sorts them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from redurable.core.values import RuntimeStatus
from redurable.store.queries import Query
from redurable.store.redis.listing import base_of
from redurable.store.redis.store import redis_store
from redurable.testing.conformance import scenes
from redurable.testing.conformance.queries import walk
from tests.support.servers import KINDS, Server

LOCALE = "en_US.UTF-8"
IDS = ("A", "B", "Z", "Z1", "a", "a-1", "a1", "z", "ä", "é")


@pytest.fixture(params=KINDS)
def spoken(
    request: pytest.FixtureRequest,
    requires_tool: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Server]:
    if request.param == "redis70":
        requires_tool("redis-server", package="redis-server")
    localedef = requires_tool("localedef", package="locales")
    subprocess.run([localedef, "-i", "en_US", "-f", "UTF-8", str(tmp_path / LOCALE)], check=True)
    monkeypatch.setenv("LOCPATH", str(tmp_path))
    monkeypatch.setenv("LC_ALL", LOCALE)
    server = Server(request.param)
    yield server
    server.stop()


async def test_pages_do_not_depend_on_it(spoken: Server) -> None:
    with spoken.client() as client:
        assert client.eval("return 'a' < 'B'", 0) == 1
    store = redis_store(spoken.url, "spoken", consumer="w1", partitions=1)
    await store.open()
    try:
        for name in IDS:
            await scenes.running(store, name, f"x-{name}")
            keys = store.layout.of(name)
            await store.lane.call("HSET", keys.instance(name), "c", 1)
            await store.lane.call("ZADD", keys.ix, base_of(RuntimeStatus.RUNNING) + 1, name)
        for limit in (1, 2, 3):
            assert await walk(store, limit) == sorted(IDS, reverse=True)
        assert len((await store.query(Query(), 100)).snapshots) == len(IDS)
    finally:
        await store.close()
