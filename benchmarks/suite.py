"""All workloads in their order, and a run of those that were chosen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from benchmarks import (
    cancel,
    chain,
    children,
    cold_replay,
    events,
    fan_out,
    floor,
    hello_sequence,
    intake,
    queries,
    sweep,
    turn_cost,
    xadd,
)
from benchmarks.bench import Bench
from benchmarks.report import Figures

Measure = Callable[[Bench, dict[str, str]], Awaitable[Figures]]


@dataclass(frozen=True)
class Workload:
    """`floor`: what it is measured against, in the same run on the same server."""

    measure: Measure
    floor: Measure | None = None


WORKLOADS = {
    "hello_sequence": Workload(hello_sequence.run, floor.run_hello),
    "chain_500": Workload(chain.run),
    "fan_out_1000": Workload(fan_out.run_1000),
    "fan_out_10000": Workload(fan_out.run_10000),
    "children_200": Workload(children.run),
    "events_500": Workload(events.run),
    "cancel": Workload(cancel.run),
    "intake": Workload(intake.run),
    "sweep": Workload(sweep.run),
    "queries": Workload(queries.run),
    "cold_replay": Workload(cold_replay.run),
    "turn": Workload(turn_cost.run),
}


async def measure(
    bench: Bench, names: Sequence[str], progress: Callable[[str], None]
) -> tuple[Figures, dict[str, str]]:
    """The figures of these workloads and what there is to say about them; raises `BenchmarkFailed`.

    Before each workload the server is emptied.
    """
    figures: Figures = {}
    notes: dict[str, str] = {}
    progress("the server alone")
    figures |= await xadd.run(bench, notes)
    for name in names:
        workload = WORKLOADS[name]
        if workload.floor is not None:
            progress(f"the floor of {name}")
            figures |= await workload.floor(bench, notes)
        progress(name)
        figures |= await workload.measure(bench, notes)
        await _empty(bench)
    return figures, notes


async def _empty(bench: Bench) -> None:
    lane = bench.lane()
    await lane.call("FLUSHALL")
    await lane.close()
