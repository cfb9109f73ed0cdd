"""What every workload is given: the server, a worker of its own, and a client in this process that makes the load."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio

from benchmarks import app
from benchmarks.errors import BenchmarkFailed, check
from benchmarks.worker import WorkerProcess, worker_process
from redurable import Client
from redurable.settings import DEFAULT_PARTITIONS
from redurable.store.redis.channel import channel_factory
from redurable.store.redis.keys import PartitionKeys
from redurable.store.redis.lane import Lane

COUNT_OPEN = "local n = 0 for _, key in ipairs(KEYS) do n = n + redis.call('SCARD', key) end return n"
CLIENT_CALLS = 32
"""Calls of the load client in flight at once."""
POLL_SECONDS = 0.01

T = TypeVar("T")


@dataclass(frozen=True)
class Sizes:
    """How much each workload does. Tests of the benchmarks themselves use tiny ones."""

    hello: int = 20_000
    latencies: int = 400
    warm_up: int = 200
    fan_out: int = 1_000
    fan_out_large: int = 10_000
    chain: int = 500
    children: int = 200
    events: int = 500
    intake: int = 10_000
    waiting: int = 100_000
    listed: int = 200_000
    lives: int = 4_000
    unannounced: int = 30
    settle_seconds: float = 2.0
    window_seconds: float = 8.0
    replayed_events: int = 5_000
    turn_at: int = 10_000
    turn_samples: int = 300
    xadds: int = 40_000
    repeats: int = 3
    chains: int = 9
    limit_seconds: float = 240.0
    """Whatever is waited for for so long does not come."""


class Running:
    """A hub with a worker process and a client."""

    def __init__(self, client: Client, worker: WorkerProcess, lane: Lane, hub: str, limit_seconds: float) -> None:
        self.client = client
        self.worker = worker
        self.limit_seconds = limit_seconds
        self._lane = lane
        self._open = [PartitionKeys(hub, number).open for number in range(DEFAULT_PARTITIONS)]

    async def drained(self) -> None:
        """Wait until every instance of the hub has finished. A look costs the server next to nothing."""

        async def is_empty() -> bool:
            return not await self._lane.call("EVAL", COUNT_OPEN, len(self._open), *self._open)

        await self.until(is_empty, "all instances have finished")

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Look again and again; raises `BenchmarkFailed` when that takes too long."""
        with anyio.move_on_after(self.limit_seconds):
            while True:
                if await condition():
                    return
                await anyio.sleep(POLL_SECONDS)
        raise BenchmarkFailed(f"not within {self.limit_seconds:g} s: {what}")

    async def check_outputs(self, outputs: Iterable[tuple[str, object]]) -> None:
        """Compare what the store holds for each (instance, expected output)."""

        async def look(item: tuple[str, object]) -> None:
            status = await self.client.get_status(item[0])
            check(f"instance {item[0]} ({status.runtime_status})", status.output, item[1])

        await side_by_side(look, outputs)


class Bench:
    """One run on one server; `target` is the MODULE:APP that the worker runs."""

    def __init__(self, socket: Path, sizes: Sizes | None = None, target: str = f"{app.__name__}:app") -> None:
        self.socket = socket
        self.address = f"unix://{socket}"
        self.sizes = sizes or Sizes()
        self._target = target

    @asynccontextmanager
    async def hub(self, name: str) -> AsyncGenerator[Running]:
        """A hub with a fresh worker, warmed up: its imports are done and the server knows its scripts."""
        lane = self.lane()
        async with worker_process(self._target, self.address, name) as worker, Client(self.address, hub=name) as client:
            running = Running(client, worker, lane, name, self.sizes.limit_seconds)
            await self._warm_up(running)
            try:
                yield running
            finally:
                await lane.close()

    def lane(self) -> Lane:
        """Connections for what is not the engine's business; close it."""
        return Lane(channel_factory(self.address))

    async def _warm_up(self, running: Running) -> None:
        async def hello(_: int) -> None:
            handle = await running.client.start(app.hello_sequence)
            await handle.result(timeout=running.limit_seconds)

        await side_by_side(hello, range(self.sizes.warm_up))


async def side_by_side(call: Callable[[T], Awaitable[None]], items: Iterable[T]) -> None:
    """Call for every item, `CLIENT_CALLS` at once."""
    left = iter(items)

    async def one_after_the_other() -> None:
        for item in left:
            await call(item)

    async with anyio.create_task_group() as group:
        for _ in range(CLIENT_CALLS):
            group.start_soon(one_after_the_other)


async def timed(work: Callable[[], Awaitable[T]]) -> tuple[float, T]:
    """Seconds that it took, and what it returned."""
    begin = time.perf_counter()
    result = await work()
    return time.perf_counter() - begin, result
