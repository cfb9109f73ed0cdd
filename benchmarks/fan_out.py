"""One orchestration that asks for many activities at once: activities per second, as its caller sees it."""

from __future__ import annotations

from statistics import median

from benchmarks.app import fan_out
from benchmarks.bench import Bench, Running, timed
from benchmarks.errors import check
from benchmarks.report import Figures


async def run_1000(bench: Bench, notes: dict[str, str]) -> Figures:
    width, repeats = bench.sizes.fan_out, bench.sizes.repeats
    async with bench.hub("fan-out-1000") as running:
        rates = [await _rate(running, width) for _ in range(repeats)]
    notes["fan_out_1000_per_s"] = f"median of {repeats}"
    return {"fan_out_1000_per_s": median(rates)}


async def run_10000(bench: Bench, notes: dict[str, str]) -> Figures:
    async with bench.hub("fan-out-10000") as running:
        return {"fan_out_10000_per_s": await _rate(running, bench.sizes.fan_out_large)}


async def _rate(running: Running, width: int) -> float:
    async def call() -> list[int]:
        handle = await running.client.start(fan_out, width)
        return await handle.result(timeout=running.limit_seconds)

    seconds, result = await timed(call)
    check("fan_out", result, [number + 1 for number in range(width)])
    return width / seconds
