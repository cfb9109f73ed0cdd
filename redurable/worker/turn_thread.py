"""Where orchestrators run: on a thread of their own, so that turns do not delay the worker's loop.

A hop to a thread costs more than a turn. So a batch makes one hop, and a single turn none if it will be quick: it goes
on with a replay in memory, of code whose last turns were quick. Code that turns slow holds up the loop by one or two
turns, and is back on the thread.
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
from msgspec.structs import replace

from redurable.core.delivery import Delivery, Parking
from redurable.core.history_cap import HistoryCap
from redurable.core.known import Known
from redurable.core.sizes import Bounds
from redurable.core.traces import Tracing
from redurable.core.turn import ENGINE_ERROR, Turn, TurnInput, park, take_turn
from redurable.settings import WorkerSettings
from redurable.worker.code import Code
from redurable.worker.hop import Hop

CLOSE_SECONDS = 2.0
QUICK_SECONDS = 0.001
"""A turn up to here is quick; a hop takes about 0.03 ms, a turn with a replay in memory as well."""
PROVEN_TURNS = 20
"""After so many quick turns an orchestrator's code is believed to be quick. One that is not weighs as much: a single
one is forgiven where there were many, because a busy machine lets any turn wait."""
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


class Taken(Struct, frozen=True):
    """A turn that was taken: what of, when its execution had started (ms, 0: now), the decision, how long it took, and
    which fraction of its cap the history of an execution that goes on has reached."""

    delivery: Delivery
    started: int
    turn: Turn
    seconds: float
    filled: float = 0.0

    @property
    def heals(self) -> bool:
        """True when a commit of it takes the mark of a quarantine away. A held instance may be released only."""
        delivery, commit = self.delivery, self.turn.commit
        return bool(delivery.parks) and commit.park is None and bool(commit.events or not delivery.held)


class TurnThread:
    """Takes batches of turns, one after the other. The settings say what their code may make, how long histories may
    become, how long instances are parked, and what is poison. `tracing` begins the traces of executions without one."""

    def __init__(self, code: Code, settings: WorkerSettings, tracing: Tracing | None = None) -> None:
        self._code = code
        self._tracing = tracing
        self._bounds = Bounds(settings.max_payload_bytes, settings.max_turn_bytes)
        self._cap = HistoryCap(settings.max_history_events, settings.max_history_bytes)
        self._parking = Parking(settings.park_min_ms, settings.park_max_ms)
        self._most_deliveries = settings.max_deliveries
        self._hop = Hop("redurable-turns")
        # Unique among all workers by the random part, and within this one by the number.
        self._prefix = os.urandom(6).hex()
        self._numbers = itertools.count()
        self._quick_turns: dict[str, int] = {}

    async def take(self, batch: Sequence[tuple[Delivery, Known | None]], evicted: Sequence[Known]) -> list[Taken]:
        """Evict, then take a turn of each delivery with the replay known of it."""
        if len(batch) == 1 and not evicted and self._will_be_quick(*batch[0]):
            return [self._take(*batch[0])]
        return await self._hop.run(lambda: self._take_all(batch, evicted), _evict_results)

    async def close(self, evicted: Sequence[Known]) -> None:
        """Evict, then end the thread. A turn without end is not waited for."""
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._hop.run(lambda: _evict(evicted), lambda _: None)
        self._hop.close()

    def is_quick(self, name: str) -> bool:
        """Whether the last turns of this orchestrator were quick."""
        return self._quick_turns.get(name, 0) >= PROVEN_TURNS

    def _will_be_quick(self, delivery: Delivery, known: Known | None) -> bool:
        if delivery.entry.again or not self.is_quick(delivery.name):
            return False
        return _begins(delivery) if known is None else len(delivery.mails) == 1

    def _note(self, name: str, seconds: float) -> None:
        change = 1 if seconds <= QUICK_SECONDS else -PROVEN_TURNS
        self._quick_turns[name] = min(max(self._quick_turns.get(name, 0) + change, 0), 2 * PROVEN_TURNS)

    def _take_all(self, batch: Sequence[tuple[Delivery, Known | None]], evicted: Sequence[Known]) -> list[Taken]:
        _evict(evicted)
        return [self._take(delivery, known) for delivery, known in batch]

    def _take(self, delivery: Delivery, known: Known | None) -> Taken:
        started = known.state.started.at if known is not None and known.state.started is not None else 0
        if self._tracing is not None:
            delivery = _begin_trace(self._tracing, delivery)
        head = f"{self._prefix}{next(self._numbers):x}"
        most = self._most_deliveries
        given = TurnInput(delivery, known, head, VERSION, self._parking, self._bounds, self._cap, most)
        begin = time.perf_counter()
        try:
            turn = take_turn(self._code.orchestrator(delivery.name), given)
        except Exception as error:
            # The engine must not raise. If it does, one instance stands still, and not every worker that meets it.
            _evict([known] if known is not None else [])
            detail = "".join(traceback.format_exception(error))
            turn = Turn(park(given, ENGINE_ERROR, detail), None, delivery.name)
        seconds = time.perf_counter() - begin
        if known is not None or _begins(delivery):
            self._note(delivery.name, seconds)
        return Taken(delivery, started, turn, seconds, self._filled(turn))

    def _filled(self, turn: Turn) -> float:
        return 0.0 if turn.known is None else self._cap.filled(turn.known.state.length, turn.known.state.size)


def _begins(delivery: Delivery) -> bool:
    """Whether this is the first turn of an execution, with nothing to read but its start."""
    start = delivery.start
    if start is None or start.kept_events or start.rewound is not None:
        return False
    return not (delivery.base or delivery.events or delivery.mails)


def _begin_trace(tracing: Tracing, delivery: Delivery) -> Delivery:
    """What is chosen here counts once the first turn is committed."""
    start = delivery.start
    if start is None or start.trace is not None:
        return delivery
    return replace(delivery, start=replace(start, trace=tracing.begin(start.name, start.execution)))


def _evict(replays: Sequence[Known]) -> None:
    for known in replays:
        known.evict()


def _evict_results(turns: list[Taken]) -> None:
    """The worker was stopped while the thread was busy: nobody will ask for these turns."""
    _evict([taken.turn.known for taken in turns if taken.turn.known is not None])
