"""Many instances wait, and nobody writes to them: what the search for mail that nobody was told of costs the server and
the worker, above what both do in an empty hub; while nothing else happens, and (`busy`) while some other stream grows
and other instances begin and end, which they do in the empty hub, too.
Then foreign clients write straight into some mailboxes: how long until the slowest of them is heard.

The server's time is the processor time of its main thread, so reading commands and writing answers count, too.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import anyio
from anyio import to_thread

from benchmarks.app import hello_sequence, wait_for_go
from benchmarks.bench import Bench, Running, side_by_side
from benchmarks.errors import check
from benchmarks.pipe import pipe, words
from benchmarks.report import Figures
from benchmarks.server import server_seconds
from redurable import Client
from redurable.core.ids import partition_of
from redurable.settings import DEFAULT_PARTITIONS
from redurable.store.redis.keys import HubKeys, PartitionKeys
from redurable.store.redis.lane import Lane

HUB = "sweep"
APPEND_SECONDS = 0.05
BEGIN_SECONDS = 0.025
COUNT_READY = "local n = 0 for _, key in ipairs(KEYS) do n = n + redis.call('XLEN', key) end return n"
COUNT_OPEN = "local n = 0 for _, key in ipairs(KEYS) do n = n + redis.call('SCARD', key) end return n"


async def run(bench: Bench, notes: dict[str, str]) -> Figures:
    count = bench.sizes.waiting
    lane = bench.lane()
    try:
        async with bench.hub(HUB) as running:
            idle = await _load(bench, lane, running)
            alone = await _load_beside(bench, lane, running)
            await _wait_together(bench, lane, running, count)
            quiet = await _load(bench, lane, running)
            busy = await _load_beside(bench, lane, running)
            heard = await _hear(bench, lane, running, count)
    finally:
        await lane.close()
    figures = {"sweep_heard_ms": max(heard) * 1000}
    for name, load, less in (("sweep", quiet, idle), ("sweep_busy", busy, alone)):
        for whose, process in enumerate(("redis", "worker")):
            figure = f"{name}_{process}_percent"
            figures[figure] = max(load[whose] - less[whose], 0.01)
            notes[figure] = f"{count:,} wait: {load[whose]:.1f} % of a core, {less[whose]:.1f} % without them"
    notes["sweep_heard_ms"] = f"the slowest of {bench.sizes.unannounced}"
    return figures


async def _load_beside(bench: Bench, lane: Lane, running: Running) -> tuple[float, float]:
    load = 0.0, 0.0
    async with anyio.create_task_group() as group:
        group.start_soon(_append, lane)
        group.start_soon(_begin, running.client)
        load = await _load(bench, lane, running)
        group.cancel_scope.cancel()
    return load


async def _append(lane: Lane) -> None:
    """Some other program's stream grows all the time, so that the sweep has to look."""
    while True:
        await lane.call("XADD", "bench-other", "MAXLEN", 10, "*", "f", "v")
        await anyio.sleep(APPEND_SECONDS)


async def _begin(client: Client) -> None:
    """Instances begin, and end soon after, so that the lists of who waits change."""
    while True:
        await client.start(hello_sequence)
        await anyio.sleep(BEGIN_SECONDS)


async def _wait_together(bench: Bench, lane: Lane, running: Running, count: int) -> None:
    """Start them through the intake, and wait until all of them wait."""
    intake = HubKeys(HUB).intake
    keys = [PartitionKeys(HUB, number) for number in range(DEFAULT_PARTITIONS)]
    commands = b"".join(
        words("XADD", intake, "*", "instance", f"w-{number}", "start", wait_for_go.name) for number in range(count)
    )

    async def all_wait() -> bool:
        if await lane.call("XLEN", intake) or await lane.call("EVAL", COUNT_READY, len(keys), *(k.ready for k in keys)):
            return False
        return await lane.call("EVAL", COUNT_OPEN, len(keys), *(k.open for k in keys)) == count

    await to_thread.run_sync(pipe, bench.socket, commands)
    await running.until(all_wait, f"{count} instances wait")


async def _load(bench: Bench, lane: Lane, running: Running) -> tuple[float, float]:
    """Percent of a core that the server's main thread and the worker use."""
    await anyio.sleep(bench.sizes.settle_seconds)
    server, worker, begin = await server_seconds(lane), running.worker.cpu_seconds, time.perf_counter()
    await anyio.sleep(bench.sizes.window_seconds)
    elapsed = time.perf_counter() - begin
    used = await server_seconds(lane) - server
    return 100 * used / elapsed, 100 * (running.worker.cpu_seconds - worker) / elapsed


async def _hear(bench: Bench, lane: Lane, running: Running, count: int) -> Sequence[float]:
    """Seconds from each XADD straight into a mailbox, nobody told, to the end of its instance."""
    chosen = random.Random(1).sample(range(count), bench.sizes.unannounced)
    heard: list[float] = []

    async def tell(number: int) -> None:
        instance = f"w-{number}"
        keys = PartitionKeys(HUB, partition_of(instance, DEFAULT_PARTITIONS))
        await anyio.sleep(random.random() * bench.sizes.settle_seconds)
        begin = time.perf_counter()
        await lane.call("XADD", keys.mailbox(instance), "*", "event", "Go", "data", str(number))
        check(instance, await running.client.get_handle(instance).result(timeout=running.limit_seconds), number)
        heard.append(time.perf_counter() - begin)

    await side_by_side(tell, chosen)
    return heard
