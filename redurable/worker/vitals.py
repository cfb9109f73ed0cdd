"""Says every now and then how this worker is: what it holds, whether it asks for work, how late its event loop is."""

from __future__ import annotations

import time

import anyio

from redurable.facts import WorkerSampled
from redurable.worker.cache import ReplayCache
from redurable.worker.common import Common
from redurable.worker.slots import Slots
from redurable.worker.turns import Pipeline

TICK_SECONDS = 0.2
TICKS = 5
"""So many ticks are a sample: the loop's lag is measured by each."""


class Vitals:
    """`slots` are None in a worker that runs no activities, `pipeline` and `cache` in one that takes no turns."""

    name = "vitals"

    def __init__(self, common: Common, slots: Slots | None, pipeline: Pipeline | None, cache: ReplayCache) -> None:
        self._common = common
        self._slots = slots
        self._pipeline = pipeline
        self._cache = cache

    async def run(self) -> None:
        """For as long as the worker runs, the drain included."""
        while True:
            if not self._common.facts.listening:
                await anyio.sleep(TICKS * TICK_SECONDS)
                continue
            self._common.facts.announce(self._common.store.sample())  # The first one begins to count.
            self._common.facts.announce(self._sample(await self._lags()))

    async def _lags(self) -> tuple[float, ...]:
        """The ticks of a sample; fewer when the worker begins to drain, because that has to be known at once."""
        reception = self._common.reception
        was_open, lags = reception.open, [await _tick()]
        while len(lags) < TICKS and reception.open == was_open:
            lags.append(await _tick())
        return tuple(lags)

    def _sample(self, lags: tuple[float, ...]) -> WorkerSampled:
        common, settings = self._common, self._common.settings
        return WorkerSampled(
            slots=self._kinds(),
            cached=len(self._cache),
            cached_bytes=self._cache.bytes,
            most_cached=settings.cache_instances,
            most_cached_bytes=settings.cache_bytes,
            instances_held=len(common.holdings.entries()),
            tasks_held=len(common.holdings.tasks),
            draining=not common.reception.open,
            silent=self._silent(),
            store_silent=time.monotonic() - common.store.seen_at,
            lags=lags,
        )

    def _kinds(self) -> tuple[tuple[str, int, int], ...]:
        settings, kinds = self._common.settings, list[tuple[str, int, int]]()
        if self._slots is not None:
            kinds.append(("activity", settings.concurrency, self._slots.used(is_async=True)))
            kinds.append(("activity_thread", settings.thread_concurrency, self._slots.used(is_async=False)))
        if self._pipeline is not None:
            kinds.append(("orchestrator", settings.lanes, min(self._pipeline.running, settings.lanes)))
        return tuple(kinds)

    def _silent(self) -> float:
        """While the store does not answer, repeating the call is what there is to do: that is no standing still."""
        return 0.0 if self._common.store.is_down else self._common.polls.silent_for(time.monotonic())


async def _tick() -> float:
    """By how much a sleeper is woken too late."""
    begin = time.perf_counter()
    await anyio.sleep(TICK_SECONDS)
    return max(0.0, time.perf_counter() - begin - TICK_SECONDS)
