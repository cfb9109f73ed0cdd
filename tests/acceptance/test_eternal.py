"""An orchestration that continues as new for ever needs no more memory with time, in the server and in the worker."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from msgspec import Struct

from redurable.core.events import ExecutionStarted
from tests.acceptance.kit import Plant, plant_on
from tests.acceptance.plant_app import eternal
from tests.support.leftovers import assert_clean
from tests.support.processes import WorkerProcess, until
from tests.support.servers import Server

ROUNDS = 10_000
EARLY = 1_000
KEPT = 1_000
"""The default of `kept_executions`."""
SLACK = KEPT // 10


class Memory(Struct, frozen=True):
    """Bytes that the server has in use, and that the worker's process holds."""

    server: int
    worker: int


@pytest.fixture(params=["valkey9", pytest.param("redis70", marks=pytest.mark.slow)])
async def plant(
    request: pytest.FixtureRequest, requires_tool: Callable[..., str], tmp_path: Path
) -> AsyncGenerator[Plant, None]:
    """A server for itself: nothing else is in its memory."""
    if request.param == "redis70":
        requires_tool("redis-server", package="redis-server")
    server = Server(request.param)
    try:
        async with plant_on(server, "eternal", tmp_path) as opened:
            yield opened
    finally:
        server.stop()


@pytest.mark.timeout(240)
async def test_ten_thousand_rounds_in_flat_memory(plant: Plant) -> None:
    worker = await plant.worker()
    handle = await plant.client.start(eternal, 1, [EARLY, ROUNDS], instance_id="e")
    early = await _paused(plant, worker, EARLY)
    await plant.client.raise_event("e", f"Go on from {EARLY}")
    late = await _paused(plant, worker, ROUNDS)
    # What is not kept would be 9,000 histories of about 500 bytes in the server.
    assert late.server - early.server < 1_000_000, (early, late)
    assert late.worker - early.worker < 8_000_000, (early, late)
    assert await handle.result(timeout=20, follow=False) is None
    await plant.client.raise_event("e", f"Go on from {ROUNDS}")
    assert await handle.result(timeout=20) == f"{ROUNDS} rounds"
    await _check_executions(plant)
    await plant.client.purge("e")
    assert await _keys(plant) == []
    await assert_clean(plant.store)


async def _paused(plant: Plant, worker: WorkerProcess, number: int) -> Memory:
    """Wait until the orchestration stands still in this round, and nothing is left to forget; then measure."""

    async def is_paused() -> bool:
        return (await plant.client.get_status("e")).custom_status == number

    async def is_pruned() -> bool:
        return len(await plant.client.list_executions("e")) <= 1 + KEPT + SLACK + 1

    await until(is_paused, f"round {number}", 100)
    await until(is_pruned, "past executions are forgotten")
    memory: str = (await plant.store.lane.call("INFO", "memory")).decode()
    used = next(line for line in memory.splitlines() if line.startswith("used_memory:"))
    return Memory(int(used.partition(":")[2]), worker.memory)


async def _check_executions(plant: Plant) -> None:
    """The first one and the newest are there, each with its history."""
    ids = await plant.client.list_executions("e")
    assert 1 + KEPT + 1 <= len(ids) <= 1 + KEPT + SLACK + 1
    numbers: list[int] = []
    for execution in (ids[0], *ids[-KEPT - 1 :: 100]):
        first = (await plant.client.get_history("e", execution))[0]
        assert isinstance(first, ExecutionStarted)
        numbers.append(first.number)
    assert numbers == [1, *range(ROUNDS - KEPT, ROUNDS + 1, 100)]


async def _keys(plant: Plant) -> list[bytes]:
    """All keys of the instance."""
    found: list[bytes] = await plant.store.lane.call("KEYS", "rd:*:e")
    return found
