"""Workers come and go, by SIGTERM and by SIGKILL, while they work: nothing of them is left in the store."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.kit import Plant
from tests.acceptance.plant_app import ponder
from tests.support.processes import WorkerProcess, until

AT_ONCE = 4
ORDERS = 3
"""How many instances are started with every batch of workers."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("restarts", [8, pytest.param(200, marks=pytest.mark.slow)])
async def test_restarts_leave_no_trace(plant: Plant, restarts: int) -> None:
    plant.settings = {**plant.settings, "reap_after_ms": 2_000}
    stayer = await plant.worker()
    handles = {"first": await plant.client.start(ponder, 0.05, instance_id="first")}
    await handles["first"].result(timeout=20)
    before = await _keys(plant)

    for first in range(0, restarts, AT_ONCE):
        batch = [plant.begin_worker() for _ in range(AT_ONCE)]
        for worker in batch:
            await worker.ready()
        for number in range(ORDERS):
            name = f"p{first}-{number}"
            handles[name] = await plant.client.start(ponder, 0.05, instance_id=name)
        await _end(batch)

    for handle in handles.values():
        assert await handle.result(timeout=30) == pytest.approx(0.15)
    await until(lambda: _consumers_are(plant, {stayer.pid}), "the consumers of those who left are gone")
    await plant.check(handles)
    for name in handles:
        if name != "first":
            await plant.client.purge(name)
    assert await _keys(plant) == before


async def _end(batch: list[WorkerProcess]) -> None:
    """Every other worker is killed, the others end in peace."""
    for number, worker in enumerate(batch):
        worker.send(signal.SIGKILL if number % 2 else signal.SIGTERM)
    for number, worker in enumerate(batch):
        assert await worker.ended() == (-signal.SIGKILL if number % 2 else 0), worker.said


async def _consumers_are(plant: Plant, pids: set[int]) -> bool:
    """Whether no consumer of any group, and no member, is of another process."""
    layout, lane = plant.store.layout, plant.store.lane
    names: list[bytes] = await lane.call("ZRANGE", layout.hub.workers, 0, -1)
    names += await lane.call("HKEYS", layout.hub.skills)
    for number in range(layout.partitions):
        keys = layout.partition(number)
        for stream in (keys.ready, keys.queue("default")):
            if await lane.call("EXISTS", stream):
                names += [_name(consumer) for consumer in await lane.call("XINFO", "CONSUMERS", stream, "w")]
    return {int(name.decode().split("-")[-2]) for name in names} <= pids


def _name(consumer: list[bytes]) -> bytes:
    return dict(zip(consumer[::2], consumer[1::2], strict=True))[b"name"]


async def _keys(plant: Plant) -> set[str]:
    """The names of the hub's keys, but those that come with work and stay: streams, and the orchestrators' names."""
    lane, found, cursor = plant.store.lane, set[str](), b"0"
    while True:
        cursor, page = await lane.call("SCAN", cursor, "MATCH", f"rd:{{{plant.store.hub}*", "COUNT", 1000)
        found |= {key.decode() for key in page}
        if cursor == b"0":
            return {
                key
                for key in found
                if not key.rpartition(":")[2].startswith(("feed", "outbox", "ready", "default", "names"))
            }
