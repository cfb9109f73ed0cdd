"""Whether a worker is alive, and whether it is ready, as far as its facts and its event loop tell.

Alive: its event loop turns, and it asks for work. The store is not part of that: restarting all workers does not bring
a server back. Ready: it has begun, has heard of the store lately, and takes on new work.

Probes are answered from a thread of their own, so that a loop that hangs is seen to hang.
"""

from __future__ import annotations

import time

import anyio
from msgspec import Struct

from redurable.facts import Fact, WorkerSampled
from redurable.settings import MetricsSettings

BEAT_SECONDS = 1.0


class Verdict(Struct, frozen=True):
    """What a probe answers: `why` is empty when all is well."""

    ok: bool
    why: tuple[str, ...]
    seconds: dict[str, float]


class Health:
    """A subscriber of a worker's facts. `beat` runs beside the worker, on its event loop."""

    def __init__(self, settings: MetricsSettings | None = None) -> None:
        chosen = settings or MetricsSettings()
        self._live_within = chosen.live_within_ms / 1000
        self._ready_within = chosen.ready_within_ms / 1000
        self._turned = time.monotonic()
        self._sample: tuple[float, WorkerSampled] | None = None

    def __call__(self, fact: Fact) -> None:
        """Note the samples of the worker."""
        if isinstance(fact, WorkerSampled):
            self._turned = time.monotonic()
            self._sample = self._turned, fact

    async def beat(self) -> None:
        """Note again and again that the event loop turns, until cancelled."""
        while True:
            self._turned = time.monotonic()
            await anyio.sleep(BEAT_SECONDS)

    def live(self) -> Verdict:
        """Whether restarting the process could help it."""
        loop, seconds, why = self._loop(), dict[str, float](), list[str]()
        seconds["event_loop"] = loop
        if loop > self._live_within:
            why.append(f"the event loop has stood still for {loop:.0f} s")
        if self._sample is not None:
            at, sample = self._sample
            silent = sample.silent + time.monotonic() - at if sample.silent else 0.0
            seconds["polling"] = silent
            if silent > self._live_within and not sample.draining:
                why.append(f"no turn has ended, and no work was asked for, for {silent:.0f} s")
        return Verdict(not why, tuple(why), seconds)

    def ready(self) -> Verdict:
        """Whether it takes on work."""
        loop, why = self._loop(), list[str]()
        seconds = {"event_loop": loop}
        if self._sample is None:
            return Verdict(False, ("the worker has not begun",), seconds)
        at, sample = self._sample
        unheard = sample.store_silent + time.monotonic() - at
        seconds["store"] = unheard
        if sample.draining:
            why.append("the worker finishes what it runs, and takes on nothing new")
        if unheard > self._ready_within:
            why.append(f"the store was last heard of {unheard:.0f} s ago")
        if loop > self._ready_within:
            why.append(f"the event loop has stood still for {loop:.0f} s")
        return Verdict(not why, tuple(why), seconds)

    def _loop(self) -> float:
        return time.monotonic() - self._turned
