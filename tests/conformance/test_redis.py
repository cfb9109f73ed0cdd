"""The Redis store fulfils the suite: on Valkey 9, on Redis 7.0, and over fakeredis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from uuid import uuid4

import anyio
import pytest
from fakeredis import FakeServer

from redurable.store.port import Hub, TaskLease
from redurable.store.redis.channel import ChannelFactory, channel_factory
from redurable.store.redis.lane import Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.store import RedisStore
from redurable.store.redis.wire import fields_of
from redurable.testing.conformance import *  # noqa: F403
from redurable.testing.conformance import StoreFactory, scenes
from tests.support.fake_server import fake_connections
from tests.support.servers import KINDS, Server

PARTITIONS = 4


class RedisFactory(StoreFactory):
    """A hub of its own on a server that others may use too; the server's clock is the machine's."""

    def __init__(self, connect: ChannelFactory) -> None:
        self._connect = connect
        self._keys = Layout(f"t-{uuid4().hex[:12]}", PARTITIONS)
        self._lane = Lane(connect)
        self._opened: list[RedisStore] = []

    async def store(self, consumer: str) -> Hub:
        store = RedisStore(self._connect, self._keys.name, consumer, PARTITIONS)
        self._opened.append(store)
        await store.open()
        return store

    async def close(self) -> None:
        """Let go of all connections."""
        for store in self._opened:
            await store.close()
        await self._lane.close()

    async def advance(self, ms: int) -> None:
        until = await self._now_us() + ms * 1000
        while (left := until - await self._now_us()) > 0:  # noqa: ASYNC110 - the clock of another process
            await anyio.sleep(left / 1_000_000)

    async def xadd_intake(self, fields: Mapping[bytes, bytes]) -> str:
        return await self._xadd(self._keys.hub.intake, fields)

    async def xadd_mailbox(self, instance: str, fields: Mapping[bytes, bytes], entry_id: str = "*") -> str:
        return await self._xadd(self._keys.of(instance).mailbox(instance), fields, entry_id)

    async def empty_mailbox(self, instance: str) -> None:
        mailbox = self._keys.of(instance).mailbox(instance)
        for entry_id, _ in await self._lane.call("XRANGE", mailbox, "-", "+"):
            await self._lane.call("XDEL", mailbox, entry_id)

    async def xadd_ready(self, partition: int, fields: Mapping[bytes, bytes]) -> str:
        return await self._xadd(self._keys.partition(partition).ready, fields)

    async def xadd_task(self, partition: int, queue: str, fields: Mapping[bytes, bytes]) -> str:
        return await self._xadd(self._keys.partition(partition).queue(queue), fields)

    async def xadd_answer(self, partition: int, fields: Mapping[bytes, bytes]) -> str:
        return await self._xadd(self._keys.partition(partition).answers, fields)

    async def serve_queue(self, queue: str) -> None:
        await self._lane.call("SADD", self._keys.hub.queues, queue)

    async def lose_ready(self, partition: int, entry_id: str) -> None:
        ready = self._keys.partition(partition).ready
        await self._lane.call("XACK", ready, "w", entry_id)
        await self._lane.call("XDEL", ready, entry_id)

    async def break_history(self, instance: str) -> None:
        history = self._keys.of(instance).history(instance)
        await self._lane.call("LSET", history, -1, b'{"type":"FromTheFuture","v":9}')

    async def break_format(self) -> None:
        await self._lane.call("HSET", self._keys.hub.meta, "format", "3")

    async def dead_letters(self) -> list[dict[bytes, bytes]]:
        entries = await self._lane.call("XRANGE", self._keys.hub.dead, "-", "+")
        return [fields_of(flat) for _, flat in entries]

    async def mailbox_ttl_ms(self, instance: str) -> int | None:
        ttl = await self._lane.call("PTTL", self._keys.of(instance).mailbox(instance))
        return ttl if ttl >= 0 else None

    async def delete_task(self, lease: TaskLease) -> None:
        """A foreign client deletes a task, received or not."""
        await self._lane.call("XDEL", self._keys.partition(lease.partition).queue(lease.queue), lease.id)

    async def _xadd(self, key: str, fields: Mapping[bytes, bytes], entry_id: str = "*") -> str:
        flat = [part for pair in fields.items() for part in pair]
        return (await self._lane.call("XADD", key, entry_id, *flat)).decode()

    async def _now_us(self) -> int:
        seconds, micros = await self._lane.call("TIME")
        return int(seconds) * 1_000_000 + int(micros)


@pytest.fixture(scope="module", params=[*KINDS, "fakeredis"])
def connect(request: pytest.FixtureRequest, requires_tool: Callable[..., str]) -> Iterator[ChannelFactory]:
    """Connections to one server, that all tests of this module share."""
    if request.param == "fakeredis":
        yield fake_connections(FakeServer(version=(7,)))
        return
    if request.param == "redis70":
        requires_tool("redis-server", package="redis-server")
    server = Server(request.param)
    yield channel_factory(server.url)
    server.stop()


@pytest.fixture
async def store_factory(connect: ChannelFactory) -> AsyncIterator[StoreFactory]:
    factory = RedisFactory(connect)
    yield factory
    await factory.close()


class TestDeletedTasks:
    async def test_an_outcome_is_never_lost_among_late_ends(self, store_factory: StoreFactory) -> None:
        assert isinstance(store_factory, RedisFactory)
        store = await store_factory.store("w1")
        late, deleted, sound = await scenes.with_tasks(store, *[scenes.task(seq=seq) for seq in (1, 2, 3)])
        await store.complete([scenes.ended(late)], [None])
        await store_factory.delete_task(deleted)
        ends = [scenes.ended(lease) for lease in (late, deleted, sound, sound)]
        assert (await store.complete(ends, [None] * 4)).accepted[1:] == (True, True, False)
        said = scenes.results(await scenes.take(store))
        assert {result.seq for result in said} == {1, 2, 3}
