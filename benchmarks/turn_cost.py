"""What one turn costs when the history is short and when it is long: `take_turn` with a warm replay, without a store.

One activity's result comes in, the next activity is asked for. The median of turns right behind event 10 of many
instances, and of as many turns of one instance that has more than 10,000.
"""

from __future__ import annotations

import sys
import time
from statistics import median

from msgspec import Raw

from benchmarks.app import app, chain
from benchmarks.bench import Bench
from benchmarks.errors import check
from benchmarks.report import Figures
from redurable.core.delivery import Delivery, Entry, Parking
from redurable.core.known import Known
from redurable.core.messages import ActivityResult, Mail, StartExecution
from redurable.core.turn import Turn, TurnInput, take_turn
from redurable.core.values import Arguments, RuntimeStatus

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PARKING = Parking(1_000, 60_000)
EXECUTION = "execution"
EARLY = 10


class Instance:
    """An instance of `chain` whose turns are taken by hand."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._known: Known | None = None
        self._head = ""
        self._turns = 0
        self._definition = app.registry.orchestrators[chain.name]
        call = Arguments(input=Raw(b"1000000"))
        self._start: StartExecution | None = StartExecution(name=chain.name, execution=EXECUTION, call=call)

    @property
    def length(self) -> int:
        """How many events its history has."""
        return self._known.state.length if self._known else 0

    def take_turn(self) -> float:
        """Take the next turn; return the microseconds that it took."""
        turn_input = TurnInput(self._delivery(), self._known, f"h{self._turns}", VERSION, PARKING)
        begin = time.perf_counter()
        turn = take_turn(self._definition, turn_input)
        seconds = time.perf_counter() - begin
        self._note(turn)
        return seconds * 1e6

    def advance(self, events: int) -> None:
        """Take turns until the history has so many events."""
        while self.length < events:
            self.take_turn()

    def close(self) -> None:
        """Let go of the user code."""
        if self._known is not None:
            self._known.evict()

    def _delivery(self) -> Delivery:
        result = ActivityResult(execution=EXECUTION, seq=self._turns, result=Raw(b"%d" % self._turns))
        return Delivery(
            entry=Entry(0, f"{self._turns}-0", self._name),
            now=1_000 + self._turns,
            head=self._head,
            status=RuntimeStatus.RUNNING,
            name=chain.name,
            execution=EXECUTION,
            start=self._start,
            mails=() if self._start else (Mail(f"{self._turns}-0", result),),
            base=self.length,
        )

    def _note(self, turn: Turn) -> None:
        self._start = None
        self._turns += 1
        self._known = turn.known
        self._head = turn.commit.head
        asked = [bytes(task.call.input) for task in turn.commit.tasks]
        check(f"turn {self._turns} of chain", asked, [b"%d" % (self._turns - 1)])


async def run(bench: Bench, notes: dict[str, str]) -> Figures:
    early, late = _measure(bench.sizes.turn_at, bench.sizes.turn_samples)
    notes["turn_us_at_10"] = notes["turn_us_at_10000"] = "take_turn with a warm replay, without the store; median"
    return {"turn_us_at_10": early, "turn_us_at_10000": late}


def _measure(at: int, samples: int) -> tuple[float, float]:
    """Early and late turns alternate, so that both see the same machine, each behind others of the same instance."""
    old = Instance("old")
    old.advance(at)
    early: list[float] = []
    late: list[float] = []
    for number in range(samples):
        young = Instance(f"young-{number}")
        young.advance(EARLY)
        early.append(young.take_turn())
        young.close()
        old.advance(old.length + EARLY)
        late.append(old.take_turn())
    old.close()
    return median(early), median(late)
