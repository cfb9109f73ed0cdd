"""One orchestration with one activity after the other: the way of a message through the engine, again and again."""

from __future__ import annotations

from statistics import median

from benchmarks.app import chain
from benchmarks.bench import Bench, Running, timed
from benchmarks.errors import check
from benchmarks.report import Figures


async def run(bench: Bench, notes: dict[str, str]) -> Figures:
    length, repeats = bench.sizes.chain, bench.sizes.repeats
    async with bench.hub("chain") as running:
        rates = [await _rate(running, length) for _ in range(repeats)]
    notes["chain_500_per_s"] = f"median of {repeats}"
    return {"chain_500_per_s": median(rates)}


async def _rate(running: Running, length: int) -> float:
    async def call() -> int:
        handle = await running.client.start(chain, length)
        return await handle.result(timeout=running.limit_seconds)

    seconds, result = await timed(call)
    check("chain", result, length)
    return length / seconds
