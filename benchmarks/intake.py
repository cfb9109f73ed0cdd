"""Events that `redis-cli --pipe` writes into the intake, one XADD each: how many a second one worker routes, while it
also takes the turns that they cause. Every instance must have heard all of its events, in order.
"""

from __future__ import annotations

from statistics import median

from anyio import to_thread

from benchmarks.app import collect
from benchmarks.bench import Bench, Running, side_by_side, timed
from benchmarks.pipe import pipe, program, words
from benchmarks.report import Figures
from redurable import RuntimeStatus
from redurable.store.redis.keys import HubKeys
from redurable.store.redis.lane import Lane

HUB = "intake"
EVENTS_EACH = 100


async def run(bench: Bench, notes: dict[str, str]) -> Figures:
    repeats = bench.sizes.repeats
    lane = bench.lane()
    try:
        async with bench.hub(HUB) as running:
            rates = [await _rate(bench, lane, running, turn) for turn in range(repeats)]
    finally:
        await lane.close()
    notes["intake_per_s"] = f"median of {repeats}, {bench.sizes.intake:,} events by {program()}"
    return {"intake_per_s": median(rates)}


async def _rate(bench: Bench, lane: Lane, running: Running, turn: int) -> float:
    count = bench.sizes.intake
    each = min(EVENTS_EACH, count)
    ids = [f"collect-{turn}-{number}" for number in range(count // each)]
    key = HubKeys(HUB).intake

    async def start(instance: str) -> None:
        async def waits() -> bool:
            return (await running.client.get_status(instance)).runtime_status is RuntimeStatus.RUNNING

        await running.client.start(collect, each, instance_id=instance)
        await running.until(waits, f"{instance} waits")

    async def routed() -> bool:
        return not await lane.call("XLEN", key)

    async def send_all() -> None:
        await to_thread.run_sync(pipe, bench.socket, commands)
        await running.until(routed, "the intake is routed")

    await side_by_side(start, ids)
    commands = b"".join(_xadd(key, instance, number) for number in range(each) for instance in ids)
    seconds, _ = await timed(send_all)
    await running.drained()
    await running.check_outputs((instance, list(range(each))) for instance in ids)
    return len(ids) * each / seconds


def _xadd(key: str, instance: str, number: int) -> bytes:
    return words("XADD", key, "*", "instance", instance, "event", "Go", "data", str(number), "id", f"go-{number}")
