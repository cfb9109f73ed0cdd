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
    """Whether no consumer of any group of any stream, and no member, is of another process."""
    layout, lane = plant.store.layout, plant.store.lane
    names: list[bytes] = await lane.call("ZRANGE", layout.hub.workers, 0, -1)
    names += await lane.call("HKEYS", layout.hub.skills)
    for stream in await _scan(plant, "TYPE", "stream"):
        for group in await lane.call("XINFO", "GROUPS", stream):
            consumers = await lane.call("XINFO", "CONSUMERS", stream, _name(group))
            names += [_name(consumer) for consumer in consumers]
    return {int(name.decode().split("-")[-2]) for name in names} <= pids


def _name(found: list[bytes]) -> bytes:
    return dict(zip(found[::2], found[1::2], strict=True))[b"name"]


async def _keys(plant: Plant) -> set[str]:
    """The names of the hub's keys, but those that come with the work of a partition, not with a worker, and stay: its
    streams, and the set of its orchestrators' names."""
    layout = plant.store.layout
    stay = [layout.partition(number) for number in range(layout.partitions)]
    streams = {key for each in stay for key in (each.feed, each.outbox, each.ready, each.queue("default"))}
    names = {each.names for each in stay}
    found = await _scan(plant)
    for key in names & found:
        assert await plant.store.lane.call("SMEMBERS", key) == [b"ponder"]
    return found - streams - names


async def _scan(plant: Plant, *more: str) -> set[str]:
    """All keys of the hub."""
    found, cursor = set[str](), b"0"
    while True:
        pattern = f"rd:{{{plant.store.hub}*"
        cursor, page = await plant.store.lane.call("SCAN", cursor, "MATCH", pattern, "COUNT", 1000, *more)
        found |= {key.decode() for key in page}
        if cursor == b"0":
            return found
