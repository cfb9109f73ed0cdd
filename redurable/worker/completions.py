"""Finished attempts, on their way back to their instances.

A batch is whatever has gathered while the last one was on its way. The same step of the store receives ready entries,
so the turn that an activity's result asks for begins without another round trip.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from redurable.store.port import Completed
from redurable.worker.attempt_reports import report_attempts
from redurable.worker.common import Common
from redurable.worker.ends import Ended, Ends
from redurable.worker.holdings import task_key
from redurable.worker.spans import end_attempts
from redurable.worker.timers import Timers
from redurable.worker.turns import Pipeline


class Completions:
    """Completes attempts in batches. `pipeline` is None in a worker that takes no turns."""

    name = "completions"

    def __init__(self, common: Common, ends: Ends, timers: Timers | None, pipeline: Pipeline | None) -> None:
        self._common = common
        self._ends = ends
        self._timers = timers
        self._pipeline = pipeline

    async def run(self) -> None:
        """As many batches on their way at once as there are lanes."""
        async with anyio.create_task_group() as group:
            for _ in range(self._common.settings.lanes):
                group.start_soon(self._send)

    async def _send(self) -> None:
        while True:
            batch = await self._ends.take(self._common.settings.batch)
            try:
                await self._complete(batch)
            finally:
                self._ends.done()

    async def _complete(self, batch: Sequence[Ended]) -> None:
        ends = [ended.end for ended in batch]
        if self._pipeline is not None:
            done = await self._pipeline.complete(ends)
            self._settle(batch, done.completed)
            await self._pipeline.follow(done)
            return
        completed = await self._common.store.complete(ends, [None] * len(ends), 0, ())
        if self._timers is not None:
            self._timers.add(completed.timers)
        self._settle(batch, completed)

    def _settle(self, batch: Sequence[Ended], completed: Completed) -> None:
        for ended in batch:
            self._common.holdings.let_go(task_key(ended.end.lease))
        if self._common.facts.listening:
            report_attempts(self._common.facts, batch, completed.accepted)
            end_attempts(self._common.facts, batch, completed.accepted, self._common.clock.now())
