"""One orchestration with one activity after the other: the way of a message through the engine, again and again.

A chain is short, and a machine is faster at one moment than at the next: so chains of the floor and of the engine are
run in turns.
"""

from __future__ import annotations

from statistics import median

from benchmarks import floor
from benchmarks.app import chain
from benchmarks.bench import Bench, Running, timed
from benchmarks.errors import check
from benchmarks.report import Figures


async def run(bench: Bench, notes: dict[str, str]) -> Figures:
    length, repeats = bench.sizes.chain, bench.sizes.chains
    rates: list[float] = []
    floors: list[float] = []
    async with bench.hub("chain") as running:
        for _ in range(repeats):
            floors.append(await floor.chain_rate(bench))
            rates.append(await _rate(running, length))
    notes["chain_500_per_s"] = notes["floor_chain_per_s"] = f"median of {repeats}, in turns"
    return {"chain_500_per_s": median(rates), "floor_chain_per_s": median(floors)}


async def _rate(running: Running, length: int) -> float:
    async def call() -> int:
        handle = await running.client.start(chain, length)
        return await handle.result(timeout=running.limit_seconds)

    seconds, result = await timed(call)
    check("chain", result, length)
    return length / seconds
