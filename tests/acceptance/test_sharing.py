"""Several healthy workers on one hub: they share what there is to do, and do it once."""

from __future__ import annotations

from redurable.store.redis.keys import GROUP
from tests.acceptance.kit import LONG_LEASES, Plant


async def test_two_workers_share_the_load(plant: Plant) -> None:
    plant.settings = LONG_LEASES
    workers = await plant.workers(2)
    handles = await plant.start_lines(40)
    await plant.check_lines(handles)

    plant.assert_no_effect_twice()
    assert {effect.pid for effect in plant.effects()} == {worker.pid for worker in workers}
    turns = [await worker.metric("redurable_turns_total", result="ok") for worker in workers]
    attempts = [await worker.metric("redurable_activity_attempts_total", outcome="ok") for worker in workers]
    ended = [await worker.metric("redurable_instances_finished_total", status="Completed") for worker in workers]
    assert min(turns) > 0
    assert min(attempts) > 0
    assert sum(attempts) == len(plant.effects()) == 40 * 5
    assert sum(ended) == 2 * 40
    assert [await worker.metric("redurable_store_errors_total") for worker in workers] == [0, 0]


async def test_turns_and_activities_in_separate_processes(plant: Plant) -> None:
    plant.settings = LONG_LEASES
    turning = plant.begin_worker("--roles", "orchestrations")
    acting = plant.begin_worker("--roles", "activities")
    for worker in (turning, acting):
        await worker.ready()
    handles = await plant.start_lines(20)
    await plant.check_lines(handles)

    plant.assert_no_effect_twice()
    assert {effect.pid for effect in plant.effects()} == {acting.pid}
    assert {pid for number in range(16) for pid in await _readers(plant, number)} == {turning.pid}


async def _readers(plant: Plant, partition: int) -> set[int]:
    """The processes that have read the ready stream of a partition: a consumer's name holds its process id."""
    consumers = await plant.store.lane.call("XINFO", "CONSUMERS", plant.store.layout.partition(partition).ready, GROUP)
    return {int(consumer[1].decode().split("-")[-2]) for consumer in consumers}
