"""hello-sequence, three activities: how many a second when there are many, and how long one takes alone.

The clock of the throughput runs from the first start to the moment when the last instance has finished in the store;
the starts, one call each, are part of it. Every result is read and compared afterwards. The latency is what a caller
sees, from `client.start` until `handle.result` has returned, one after the other.
"""

from __future__ import annotations

import time

from benchmarks.app import CITIES, hello_sequence
from benchmarks.bench import Bench, Running, side_by_side, timed
from benchmarks.errors import check
from benchmarks.report import Figures, percentile
from benchmarks.server import server_seconds
from redurable.store.redis.lane import Lane

EXPECTED = [f"Hello {city}!" for city in CITIES]


async def run(bench: Bench, notes: dict[str, str]) -> Figures:
    async with bench.hub("hello") as running:
        waits = [await _latency(running) for _ in range(bench.sizes.latencies)]
        lane = bench.lane()
        rate = await _throughput(running, lane, bench.sizes.hello, notes)
        await lane.close()
    return {
        "hello_sequence_per_s": rate,
        "hello_sequence_p50_ms": percentile(waits, 50) * 1000,
        "hello_sequence_p99_ms": percentile(waits, 99) * 1000,
    }


async def _latency(running: Running) -> float:
    async def call() -> list[str]:
        handle = await running.client.start(hello_sequence)
        return await handle.result(timeout=running.limit_seconds)

    seconds, result = await timed(call)
    check("hello_sequence", result, EXPECTED)
    return seconds


async def _throughput(running: Running, lane: Lane, count: int, notes: dict[str, str]) -> float:
    ids = [f"hello-{number}" for number in range(count)]

    async def start(instance: str) -> None:
        await running.client.start(hello_sequence, instance_id=instance)

    async def run_all() -> float:
        begin = time.perf_counter()
        await side_by_side(start, ids)
        started = time.perf_counter() - begin
        await running.drained()
        return started

    cpu = running.worker.cpu_seconds, time.process_time(), await server_seconds(lane)
    seconds, started = await timed(run_all)
    worker, client = running.worker.cpu_seconds - cpu[0], time.process_time() - cpu[1]
    server = await server_seconds(lane) - cpu[2]
    notes["hello_sequence_per_s"] = (
        f"{count:,} in {seconds:.2f} s, all started after {started:.2f} s; "
        f"CPU: worker {worker:.1f} s, load client {client:.1f} s, server {server:.1f} s"
    )
    await running.check_outputs((instance, EXPECTED) for instance in ids)
    return count / seconds
