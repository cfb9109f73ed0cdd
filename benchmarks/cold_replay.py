"""A long history and a worker that has never seen it: events per second, from the event that wakes the instance until
its caller has the result. One worker writes the histories, another one, warmed up with other instances, replays them.
"""

from __future__ import annotations

from statistics import median

from benchmarks.app import WAITING, chain_then_wait
from benchmarks.bench import Bench, Running, timed
from benchmarks.errors import check
from benchmarks.report import Figures
from redurable import Handle
from redurable.core.events import ActivityCompleted, Event

HUB = "replay"


async def run(bench: Bench, notes: dict[str, str]) -> Figures:
    wanted, repeats = bench.sizes.replayed_events, bench.sizes.repeats
    ids = [f"long-{number}" for number in range(repeats)]
    async with bench.hub(HUB) as running:
        for instance in ids:
            await running.client.start(chain_then_wait, wanted, instance_id=instance)
        histories = [await _written(running, instance) for instance in ids]
    async with bench.hub(HUB) as running:
        seconds = [await _replay(running, *written) for written in zip(ids, histories, strict=True)]
    lengths = [len(history) for history in histories]
    notes["cold_replay_events_per_s"] = f"median of {repeats} histories of {min(lengths):,} events or more"
    return {"cold_replay_events_per_s": median(count / took for count, took in zip(lengths, seconds, strict=True))}


async def _written(running: Running, instance: str) -> list[Event]:
    """The history as it is stored, once the instance waits for its event."""

    async def is_written() -> bool:
        return (await running.client.get_status(instance)).custom_status == WAITING

    await running.until(is_written, f"{instance} waits")
    return [row for row in await running.client.get_history(instance) if isinstance(row, Event)]


async def _replay(running: Running, instance: str, history: list[Event]) -> float:
    handle: Handle[int] = running.client.get_handle(instance, result_type=int)
    activities = sum(isinstance(event, ActivityCompleted) for event in history)

    async def call() -> int:
        await running.client.raise_event(instance, "Go", 1)
        return await handle.result(timeout=running.limit_seconds)

    seconds, result = await timed(call)
    check("chain_then_wait", result, activities + 1)
    return seconds
