"""What a client can ask about a hub as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from redurable.client.link import Link
from redurable.store.depths import Depths
from redurable.store.membership import Skills

FRESH_MS = 15_000
"""A worker counts as alive for so long after its last heartbeat: three times what workers go by, so that one that is
busy for a moment does not look gone."""


class Insight:
    """What a client can ask about its hub."""

    @property
    def _link(self) -> Link:
        raise NotImplementedError

    async def ping(self) -> None:
        """See that the store answers, whether or not it has the hub. Raises `StoreError` at once when it does not."""
        await self._link.store.open(create=False)

    async def depths(self, queues: Sequence[str] = ()) -> Depths:
        """How much work lies where: turns, task queues (these, and those that workers serve), timers."""
        return await self._link.call(lambda: self._link.store.depths(queues))

    async def workers(self) -> dict[str, Skills]:
        """The workers that live, by name, and what they can do."""
        return (await self._link.call(lambda: self._link.store.members(FRESH_MS))).workers
