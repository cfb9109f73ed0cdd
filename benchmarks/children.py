"""One orchestration with many sub-orchestrations at once, each with one activity: seconds, as its caller sees it."""

from __future__ import annotations

from statistics import median

from benchmarks.app import parent
from benchmarks.bench import Bench, Running, timed
from benchmarks.errors import check
from benchmarks.report import Figures


async def run(bench: Bench, notes: dict[str, str]) -> Figures:
    children, repeats = bench.sizes.children, bench.sizes.repeats
    async with bench.hub("children") as running:
        seconds = [await _seconds(running, children) for _ in range(repeats)]
    notes["children_200_s"] = f"median of {repeats}"
    return {"children_200_s": median(seconds)}


async def _seconds(running: Running, children: int) -> float:
    async def call() -> list[int]:
        handle = await running.client.start(parent, children)
        return await handle.result(timeout=running.limit_seconds)

    seconds, result = await timed(call)
    check("parent", result, [number + 1 for number in range(children)])
    return seconds
