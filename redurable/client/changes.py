"""One reader of the hub's feeds for all who wait in a client: it rings when an execution of their instance ended.

A ring is a hint to look again. Who waits also looks again by itself every two seconds, so a ring that is lost, by a
trimmed feed or a lost connection, costs time and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from redurable.client.link import Link
from redurable.core.ids import partition_of
from redurable.errors import StoreError
from redurable.store.inspect import Change

_BLOCK_MS = 2_000
_LOOK_AGAIN = 2.0
_PAUSE = 0.5


class Watch:
    """Somebody's wait for changes of one instance."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Something changed."""
        self._rung.set()

    async def wait(self) -> None:
        """Return when it has rung since the last wait, or when it is time to look again."""
        with anyio.move_on_after(_LOOK_AGAIN):
            await self._rung.wait()
        self._rung = anyio.Event()


class Changes:
    """See the module. `run` is the reader; partitions nobody waits in are left when they are quiet or a nuisance."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._watches: dict[str, list[Watch]] = {}
        self._waiting: Counter[int] = Counter()
        self._positions: dict[int, str] = {}
        self._joined = anyio.Event()
        self._reading = anyio.CancelScope()

    @asynccontextmanager
    async def watch(self, instance: str) -> AsyncGenerator[Watch, None]:
        """A watch that rings for every end of an execution after this point."""
        await self._link.join()  # How many partitions there are, the hub knows.
        store, watch = self._link.store, Watch()
        partition = partition_of(instance, store.partitions)
        self._watches.setdefault(instance, []).append(watch)
        self._waiting[partition] += 1
        try:
            if partition not in self._positions:
                position = await self._link.call(lambda: store.feed_position(partition))
                self._join(partition, position)
            yield watch
        finally:
            self._waiting[partition] -= 1
            self._watches[instance].remove(watch)
            if not self._watches[instance]:
                del self._watches[instance]

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            if not self._positions:
                self._joined = anyio.Event()
                await self._joined.wait()
            with anyio.CancelScope() as self._reading:
                try:
                    changes = await self._link.store.feed(dict(self._positions), _BLOCK_MS)
                except StoreError:
                    # Who waits asks the same store, and is told what is wrong with it.
                    await anyio.sleep(_PAUSE)
                else:
                    self._receive(changes)

    def _join(self, partition: int, position: str) -> None:
        if partition not in self._positions:
            self._positions[partition] = position
            self._joined.set()
            self._reading.cancel()

    def _receive(self, changes: list[tuple[int, Change]]) -> None:
        heard: set[int] = set()
        for partition, change in changes:
            heard.add(partition)
            self._positions[partition] = change.id
            for watch in self._watches.get(change.instance, ()):
                watch.ring()
        for partition in heard if changes else list(self._positions):
            if not self._waiting[partition]:
                del self._positions[partition]
