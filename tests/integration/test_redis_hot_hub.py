"""Joining a hub, and servers that cannot hold one."""

from __future__ import annotations

import pytest

from redurable.errors import StoreRefused
from redurable.store.redis.hubs import check_server
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore, redis_store
from redurable.testing.conformance import scenes
from tests.support.servers import Server


async def test_a_hub_keeps_its_partitions(store: RedisStore, server: Server) -> None:
    late = redis_store(server.url, store.hub, consumer="w9", partitions=64)
    await late.open()
    assert (late.partitions, late.layout.partitions) == (4, 4)
    await store.start(scenes.request())
    assert (await scenes.take(late)).entry.instance == "one"
    await late.close()


async def test_groups_begin_at_the_first_entry_and_are_kept(store: RedisStore) -> None:
    await store.start(scenes.request())
    await store.open()
    assert len(await scenes.receive(store)) == 1
    await store.open()
    assert await scenes.receive(store) == []


async def test_who_only_looks_creates_nothing(server: Server, hub: str, foreign: Lane) -> None:
    late = redis_store(server.url, hub, partitions=8)
    assert await late.open(create=False) is False
    assert await foreign.call("KEYS", f"*{hub}*") == []
    creator = redis_store(server.url, hub, partitions=4)
    assert await creator.open() is True
    assert (await late.open(create=False), late.partitions) == (True, 4)
    await creator.start(scenes.request())
    assert await late.get("one") is not None
    await late.close()
    await creator.close()


async def test_another_format_is_refused(store: RedisStore, foreign: Lane) -> None:
    await foreign.call("HSET", store.layout.hub.meta, "format", "7")
    with pytest.raises(StoreRefused, match=r"has format 7, this release reads 2"):
        await store.open()


async def test_a_foreign_key_in_the_hub_s_place_is_refused(server: Server, hub: str, foreign: Lane) -> None:
    await foreign.call("SET", f"rd:{{{hub}}}:meta", "mine")
    with pytest.raises(StoreRefused, match="is not the description of a hub"):
        await redis_store(server.url, hub).open()


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"redis_version": "6.2.14"}, "is Redis 6.2.14: use Redis 7.0 or newer"),
        ({"redis_version": "7.2.4", "valkey_version": "7.1.9"}, "is Valkey 7.1.9"),
        ({"redis_version": "7.0.1", "role": "slave"}, "is a replica"),
        ({"redis_version": "7.0.1", "cluster_enabled": "1"}, "Redis Cluster"),
        ({"redis_version": "7.0.1", "maxmemory": "9", "maxmemory_policy": "allkeys-lru"}, "allkeys-lru"),
    ],
)
def test_an_unfit_server_is_refused(facts: dict[str, str], why: str) -> None:
    with pytest.raises(StoreRefused, match=why):
        check_server(facts)


def test_a_fit_server_is_taken() -> None:
    check_server({"redis_version": "7.0.15", "role": "master", "maxmemory": "0", "maxmemory_policy": "allkeys-lru"})
    check_server(
        {"redis_version": "7.2.4", "valkey_version": "9.1.2", "maxmemory": "9", "maxmemory_policy": "noeviction"}
    )
