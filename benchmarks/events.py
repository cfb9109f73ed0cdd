"""Many instances wait for an event each: events per second, from the first one raised until every instance has
finished."""

from __future__ import annotations

from statistics import median

from benchmarks.app import wait_for_go
from benchmarks.bench import Bench, Running, side_by_side, timed
from benchmarks.report import Figures
from redurable import RuntimeStatus


async def run(bench: Bench, notes: dict[str, str]) -> Figures:
    events, repeats = bench.sizes.events, bench.sizes.repeats
    async with bench.hub("events") as running:
        rates = [await _rate(running, events, turn) for turn in range(repeats)]
    notes["events_500_per_s"] = f"median of {repeats}"
    return {"events_500_per_s": median(rates)}


async def _rate(running: Running, events: int, turn: int) -> float:
    ids = [f"wait-{turn}-{number}" for number in range(events)]
    client = running.client

    async def start(instance: str) -> None:
        async def waits() -> bool:
            return (await client.get_status(instance)).runtime_status is RuntimeStatus.RUNNING

        await client.start(wait_for_go, instance_id=instance)
        await running.until(waits, f"{instance} waits")

    async def go(item: tuple[int, str]) -> None:
        await client.raise_event(item[1], "Go", item[0])

    async def raise_all() -> None:
        await side_by_side(go, enumerate(ids))
        await running.drained()

    await side_by_side(start, ids)
    seconds, _ = await timed(raise_all)
    await running.check_outputs((instance, number) for number, instance in enumerate(ids))
    return events / seconds
