"""Several healthy workers on one hub: they share what there is to do, and do it once."""

from __future__ import annotations

from redurable.store.redis.keys import GROUP
from tests.acceptance.kit import EFFECTS_OF_A_LINE, LONG_LEASES, Plant
from tests.support.processes import WorkerProcess, until


async def test_two_workers_share_the_load(plant: Plant) -> None:
    plant.settings = LONG_LEASES
    workers = await plant.workers(2)
    pids = {worker.pid for worker in workers}
    both = "both have worked"
    handles = await plant.lines_until(lambda: {effect.pid for effect in plant.effects()} == pids, both, count=40)
    await plant.check_lines(handles)
    # The store knows of an end before the worker counts it.
    await until(lambda: _counted(workers, 2 * len(handles), "instances_finished", status="Completed"), "all ends")
    await until(lambda: _counted(workers, len(plant.effects()), "activity_attempts", outcome="ok"), "all attempts")

    plant.assert_no_effect_twice()
    turns = [await worker.metric("redurable_turns_total", result="ok") for worker in workers]
    attempts = [await worker.metric("redurable_activity_attempts_total", outcome="ok") for worker in workers]
    ended = [await worker.metric("redurable_instances_finished_total", status="Completed") for worker in workers]
    assert min(turns) > 0
    assert min(attempts) > 0
    assert sum(attempts) == len(plant.effects()) == EFFECTS_OF_A_LINE * len(handles)
    assert sum(ended) == 2 * len(handles)
    assert [await worker.metric("redurable_store_errors_total") for worker in workers] == [0, 0]


async def _counted(workers: list[WorkerProcess], number: int, metric: str, **labels: str) -> bool:
    """Whether the workers have counted so many."""
    return sum([await worker.metric(f"redurable_{metric}_total", **labels) for worker in workers]) >= number


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
    readers = {name for number in range(plant.store.partitions) for name in await _readers(plant, number)}
    assert len(readers) == 1
    assert f"-{turning.pid}-" in readers.pop()


async def _readers(plant: Plant, partition: int) -> set[str]:
    """The consumers that have read the ready stream of a partition; their names hold the ids of their processes."""
    consumers = await plant.store.lane.call("XINFO", "CONSUMERS", plant.store.layout.partition(partition).ready, GROUP)
    return {consumer[1].decode() for consumer in consumers}
