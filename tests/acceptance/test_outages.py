"""The server goes away under load: connections are cut, or it dies and comes back with its append-only file.

Workers and clients wait and repeat; every orchestration completes, every call has exactly one end in its history. No
lease runs out within these tests: what a lost reply had handed out is found again, and nothing of it runs twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import anyio.to_thread
import pytest

from redurable.client import Handle
from tests.acceptance.kit import LONG_LEASES, Plant, plant_on
from tests.support.processes import WorkerProcess, until
from tests.support.servers import Server

EACH = 12
"""So many orchestrations are started before every fault."""

SILENT, ANSWERS = "the store does not answer", "the store answers again"


@pytest.fixture
async def durable(server: Server, hub: str, tmp_path: Path) -> AsyncGenerator[Plant, None]:
    """A plant on a server of its own, of the same kind, that writes everything to its append-only file."""
    own = Server(server.kind, "--appendonly", "yes", "--appendfsync", "always")
    try:
        async with plant_on(own, hub, tmp_path) as plant:
            yield plant
    finally:
        own.stop()


async def _load(plant: Plant, first: int) -> dict[str, Handle[int]]:
    """Start `line`s, and return in the midst of their work."""
    enough = len(plant.effects()) + EACH
    handles = await plant.start_lines(EACH, first)
    await until(lambda: len(plant.effects()) >= enough, "a fifth of the effects is there")
    return handles


async def test_all_connections_are_killed_several_times_under_load(plant: Plant) -> None:
    plant.settings = LONG_LEASES
    workers = await plant.workers(2)
    handles: dict[str, Handle[int]] = {}
    with plant.server.client() as foreign:
        for turn in range(6):
            handles |= await _load(plant, turn * EACH)
            assert foreign.client_kill_filter(_type="normal", skipme=True) > 0  # pyright: ignore[reportUnknownMemberType]
    await plant.check_lines(handles)

    faults = [await worker.metric("redurable_store_errors_total") for worker in workers]
    assert min(faults) > 0
    plant.assert_no_effect_twice()


async def test_the_server_is_killed_and_comes_back_with_its_append_only_file(durable: Plant) -> None:
    plant, server = durable, durable.server
    plant.settings = LONG_LEASES
    workers = await plant.workers(2)
    handles: dict[str, Handle[int]] = {}
    for turn in range(2):
        handles |= await _load(plant, turn * EACH)
        server.kill()
        for worker in workers:
            await until(lambda worker=worker: _last_word(worker) == SILENT, "the worker notices it")
        await anyio.to_thread.run_sync(server.run)
        for worker in workers:
            await until(lambda worker=worker: _last_word(worker) == ANSWERS, "the worker goes on")
    await plant.check_lines(handles)
    plant.assert_no_effect_twice()


def _last_word(worker: WorkerProcess) -> str:
    """What the worker said last of the store."""
    return max((ANSWERS, SILENT), key=worker.said.rfind)
