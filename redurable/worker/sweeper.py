"""Announces waiting instances whose mail nobody was told of: wake-ups that were lost, and what foreign clients wrote
straight into a mailbox.

A round walks through the owned partitions, from where the last one stopped, one call after the other at an even pace. A
hub with up to `PER_SECOND` waiting instances is walked every `sweep_every_ms`; a larger one costs no more per second,
and its walk takes longer.
"""

from __future__ import annotations

import anyio

from redurable.facts import InstancesSwept
from redurable.worker.common import Common

PER_SECOND = 100_000
"""Instances of large partitions that are looked at in a second: 3-6 % of what a server can do."""


class Sweeper:
    """Remembers the partition and the cursor in it."""

    name = "sweeper"

    def __init__(self, common: Common) -> None:
        self._common = common
        self._partition = 0
        self._cursor = ""

    async def run(self) -> None:
        """Walk round and round."""
        while True:
            begun = anyio.current_time()
            rest = await self._round(begun)
            await anyio.sleep(max(0.0, begun + rest - anyio.current_time()))

    async def _round(self, begun: float) -> float:
        """One round; return how many seconds it has, from its beginning."""
        settings, mine = self._common.settings, self._common.ownership.mine
        period = settings.sweep_every_ms / 1000
        calls = max(len(mine), PER_SECOND // settings.sweep_chunk)
        swept = ended = full = 0
        for call in range(calls):
            if ended >= len(mine):
                break
            # Spread over the period, so that neither the server nor this worker's other roles feel a burst.
            await anyio.sleep(max(0.0, begun + period * call / calls - anyio.current_time()))
            swept += await self._step(mine)
            ended, full = (ended + 1, full) if not self._cursor else (ended, full + 1)
        if swept and self._common.facts.listening:
            self._common.facts.announce(InstancesSwept(swept))
        return max(period, full * settings.sweep_chunk / PER_SECOND)

    async def _step(self, mine: tuple[int, ...]) -> int:
        """The next piece of the walk."""
        if self._partition not in mine or not self._cursor:
            self._partition = min((number for number in mine if number > self._partition), default=mine[0])
            self._cursor = ""
        chunk = self._common.settings.sweep_chunk
        self._cursor, announced = await self._common.store.sweep(self._partition, self._cursor, chunk)
        return announced
