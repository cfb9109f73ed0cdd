"""The Redis store over fakeredis: the same scripts without a server, for fast unit tests. Not a proof: fakeredis is
kinder than Redis (it has no memory limit and loses no connection), so what counts is also tested on real servers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any

from fakeredis import FakeServer
from fakeredis.aioredis import FakeAsyncRedisConnection
from redis.exceptions import ResponseError

from redurable.store.redis.channel import Channel, ChannelFactory
from redurable.store.redis.store import RedisStore

_BLOCKING_READ = re.compile(rb"XREADGROUP\r\n.*\r\nBLOCK\r\n\$\d+\r\n(\d+)\r\n", re.DOTALL)


class BlockingConnection(FakeAsyncRedisConnection):
    """fakeredis answers XREADGROUP with COUNT and BLOCK at once; this waits as a server does."""

    def __init__(self, server: FakeServer) -> None:
        super().__init__(server=server, protocol=2, socket_timeout=None, driver_info=None)
        self._database = server.dbs[0]
        self._command = b""

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        self._command = b"".join(command) if not isinstance(command, bytes | str) else b""
        await super().send_packed_command(command, check_health)

    async def read_response(self, **kwargs: Any) -> Any:
        command = self._command
        reply = await super().read_response(**kwargs)
        blocking = _BLOCKING_READ.search(command) if reply is None else None
        if blocking is None:
            return reply
        deadline = asyncio.get_running_loop().time() + int(blocking[1]) / 1000
        while reply is None and await self._changes_before(deadline):
            await super().send_packed_command((command,), check_health=False)
            reply = await super().read_response(**kwargs)
        return reply

    async def _changes_before(self, deadline: float) -> bool:
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def notice() -> None:
            loop.call_soon_threadsafe(changed.set)

        self._database.add_change_callback(notice)
        try:
            async with asyncio.timeout_at(deadline):
                await changed.wait()
        except TimeoutError:
            return False
        finally:
            self._database.remove_change_callback(notice)
        return True


class FakeChannel:
    """A connection to an in-process server; see `redurable.store.redis.channel.Channel`."""

    def __init__(self, connection: BlockingConnection) -> None:
        self.alive = True
        self.news: list[Any] = []
        self._connection = connection

    async def exchange(self, packed: bytes, timeout: float) -> Any:
        async with asyncio.timeout(timeout):
            # fakeredis does not know the forms that read only.
            packed = packed.replace(b"$10\r\nEVALSHA_RO", b"$7\r\nEVALSHA", 1).replace(
                b"$7\r\nEVAL_RO", b"$4\r\nEVAL", 1
            )
            await self._connection.send_packed_command((packed,), check_health=False)
            try:
                return await self._connection.read_response(disable_decoding=True)
            except ResponseError as error:
                return error

    async def close(self) -> None:
        self.alive = False
        await self._connection.disconnect(nowait=True)


def fake_connections(server: FakeServer) -> ChannelFactory:
    """Connections to an in-process server."""

    async def connect() -> Channel:
        connection = BlockingConnection(server)
        await connection.connect()
        return FakeChannel(connection)

    return connect


def fake_store(
    server: FakeServer | None = None, hub: str = "h", consumer: str = "w1", partitions: int = 4
) -> RedisStore:
    """A store over fakeredis; give two stores the same `server` to let them share a hub."""
    return RedisStore(fake_connections(server or FakeServer(version=(7,))), hub, consumer, partitions)
