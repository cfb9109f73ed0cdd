"""`EmbeddedStore`: the Redis store on a server that this process starts, shares and starts again when it is gone."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from redurable.settings import MAX_PAYLOAD_BYTES
from redurable.store.embedded.server import EmbeddedServer
from redurable.store.redis.channel import channel_factory
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore


class EmbeddedStore(RedisStore):
    """A hub on the embedded server of a directory. `close` ends the server if this process started it and no other
    store of this process uses it; processes that are attached start it again."""

    def __init__(
        self, directory: Path, hub: str, consumer: str, partitions: int, max_payload: int = MAX_PAYLOAD_BYTES
    ) -> None:
        self.server = EmbeddedServer(directory)
        self._in_use = False
        lane = Lane(channel_factory(unix_url(self.server.socket)), self._before_connect)
        super().__init__(lane, hub, consumer, partitions, max_payload)

    async def open(self, create: bool = True) -> bool:
        """Start the server or attach to it; create the hub or join it. Who does not want to `create` gets no directory
        either. Errors: those of `EmbeddedServer.ensure` too."""
        if not create and not self.server.directory.exists():
            return False
        self._in_use = True
        try:
            await self.server.ensure()  # Here, because a call has less time than a server may take to start.
            return await super().open(create)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of all connections and of the server."""
        self._in_use = False
        try:
            await super().close()
        finally:
            await self.server.stop()

    async def _before_connect(self) -> None:
        if self._in_use:  # A late call on a closed store finds nobody, rather than starting a server for itself.
            await self.server.ensure()


def unix_url(socket: str) -> str:
    """The address of a server that listens on this unix socket (an absolute path)."""
    return f"unix://{quote(socket)}"
