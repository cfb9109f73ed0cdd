"""What the blocking client costs beside the one that is awaited: `python -m benchmarks.sync_client`.

Processor time of this process alone, the least of several rounds, so that a busy machine counts for little. Calls come
one after the other; starts come from 16 threads, or 16 tasks, and nothing takes their turns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from benchmarks.server import running_server
from redurable import Client, sync

CALLS = 3_200
CALLERS = 16
ROUNDS = 5
HUB = "bench-sync"


@contextmanager
def timed(rounds: list[float]) -> Generator[None]:
    """Note the processor time of a call, in milliseconds."""
    begin = time.process_time()
    yield
    rounds.append((time.process_time() - begin) / CALLS * 1000)


async def awaited(url: str) -> tuple[float, float]:
    """A call, and a start, of the asynchronous client."""
    calls: list[float] = []
    starts: list[float] = []
    async with Client(url, hub=HUB) as client:
        await client.start("x")

        async def caller() -> None:
            for _ in range(CALLS // CALLERS):
                await client.start("x", 1)

        for _ in range(ROUNDS):
            with timed(calls):
                for _ in range(CALLS):
                    await client.ping()
            with timed(starts):
                await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return min(calls), min(starts)


def blocked(url: str) -> tuple[float, float]:
    """The same of the blocking one."""
    calls: list[float] = []
    starts: list[float] = []
    with sync.Client(url, hub=HUB) as client, ThreadPoolExecutor(CALLERS) as pool:
        start: Callable[[int], object] = lambda number: client.start("x", number)  # noqa: E731
        for _ in range(ROUNDS):
            with timed(calls):
                for _ in range(CALLS):
                    client.ping()
            with timed(starts):
                list(pool.map(start, range(CALLS)))
    return min(calls), min(starts)


def main() -> None:
    """Print both."""
    with running_server() as socket:
        url = f"unix://{socket}"
        for name, (call, start) in {"awaited": asyncio.run(awaited(url)), "blocking": blocked(url)}.items():
            print(f"{name:9} {call:.3f} ms of processor time a call, {start:.3f} ms a start by {CALLERS}")


if __name__ == "__main__":
    main()
