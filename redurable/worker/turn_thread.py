"""The one thread on which orchestrators run, so that turns never delay the worker's own loop.

A hop to a thread costs more than a turn, so a batch makes one hop. Replays belong to this thread alone: they are fed
here and evicted here.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
import traceback
from collections.abc import Sequence

import anyio
from msgspec import Struct

from redurable.core.delivery import Delivery, Park, TurnCommit
from redurable.core.sizes import UNLIMITED
from redurable.core.turn import Known, Turn, TurnInput, take_turn
from redurable.worker.code import Code
from redurable.worker.hop import Hop

CLOSE_SECONDS = 2.0
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


class Taken(Struct, frozen=True):
    """A turn that was taken: what of, when its execution had started (ms, 0: now), the decision, how long it took."""

    delivery: Delivery
    started: int
    turn: Turn
    seconds: float


class TurnThread:
    """Takes batches of turns, one after the other. Payloads that their code makes have at most `max_payload` bytes."""

    def __init__(self, code: Code, max_payload: int = UNLIMITED) -> None:
        self._code = code
        self._max_payload = max_payload
        self._hop = Hop("redurable-turns")
        # Unique among all workers by the random part, and within this one by the number.
        self._prefix = os.urandom(6).hex()
        self._numbers = itertools.count()

    async def take(self, batch: Sequence[tuple[Delivery, Known | None]], evicted: Sequence[Known]) -> list[Taken]:
        """Evict, then take a turn of each delivery with the replay known of it."""
        return await self._hop.run(lambda: self._take_all(batch, evicted), _evict_results)

    async def close(self, evicted: Sequence[Known]) -> None:
        """Evict, then end the thread. A turn without end is not waited for."""
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._hop.run(lambda: _evict(evicted), lambda _: None)
        self._hop.close()

    def _take_all(self, batch: Sequence[tuple[Delivery, Known | None]], evicted: Sequence[Known]) -> list[Taken]:
        _evict(evicted)
        return [self._take(delivery, known) for delivery, known in batch]

    def _take(self, delivery: Delivery, known: Known | None) -> Taken:
        started = known.state.started.at if known is not None and known.state.started is not None else 0
        head = f"{self._prefix}{next(self._numbers):x}"
        begin = time.perf_counter()
        try:
            definition = self._code.orchestrator(delivery.name)
            turn = take_turn(definition, TurnInput(delivery, known, head, VERSION, self._max_payload))
        except Exception as error:
            # The engine must not raise. If it does, one instance stands still, and not every worker that meets it.
            _evict([known] if known is not None else [])
            turn = Turn(_stand_still(delivery, head, error), None, delivery.name)
        return Taken(delivery, started, turn, time.perf_counter() - begin)


def _stand_still(delivery: Delivery, head: str, error: Exception) -> TurnCommit:
    detail = "".join(traceback.format_exception(error))
    return TurnCommit(
        entry=delivery.entry,
        expected=delivery.head,
        head=head,
        execution=delivery.execution,
        park=Park("engine error", detail, 1),
    )


def _evict(replays: Sequence[Known]) -> None:
    for known in replays:
        known.evict()


def _evict_results(turns: list[Taken]) -> None:
    """The worker was stopped while the thread was busy: nobody will ask for these turns."""
    _evict([taken.turn.known for taken in turns if taken.turn.known is not None])
