"""Two workers of different applications on one hub: each instance and each task comes to the one that knows it."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.annex_app import delegate, errand
from tests.acceptance.kit import LONG_LEASES, SHORT_LEASES, Plant
from tests.acceptance.plant_app import chain
from tests.support.leftovers import assert_clean
from tests.support.processes import WorkerProcess, until
from tests.support.shops import free_port

pytestmark = pytest.mark.timeout(200)

ANNEX = "tests.acceptance.annex_app:app"
COUNT = 20
LENGTH = 4


async def _both(plant: Plant) -> tuple[WorkerProcess, WorkerProcess]:
    main = await plant.worker("--metrics-port", str(free_port()))
    annex = await plant.worker("--metrics-port", str(free_port()), app=ANNEX)
    both = (main, annex)
    await until(lambda: all("2 workers; this one prefers" in worker.said for worker in both), "they know of each other")
    return both


async def _sum(workers: tuple[WorkerProcess, ...], metric: str, **labels: str) -> float:
    return sum([await worker.metric(f"redurable_{metric}", **labels) for worker in workers])


async def test_everything_comes_to_who_knows_it_and_nothing_runs_in_circles(plant: Plant) -> None:
    plant.settings = LONG_LEASES  # Who loses one that it still works for does it twice.
    both = await _both(plant)
    chains = [await plant.client.start(chain, LENGTH, instance_id=f"chain-{n}") for n in range(COUNT)]
    errands = [await plant.client.start(errand, LENGTH, instance_id=f"errand-{n}") for n in range(COUNT)]
    parents = [await plant.client.start(delegate, 2, instance_id=f"parent-{n}") for n in range(COUNT)]
    for handle in chains:
        assert await handle.result(timeout=30) == [0, 10, 20, 30]
    for handle in errands:
        assert await handle.result(timeout=30) == LENGTH
    for handle in parents:
        assert await handle.result(timeout=30) == [0, 10]

    taken = await _sum(both, "turns_total", result="ok")
    assert 0 < await _sum(both, "turns_total", result="handed") <= taken
    assert await _sum(both, "turns_total", result="parked") == 0
    assert await _sum(both, "quarantines_total") == 0
    # 20 ms, 40 ms, 80 ms, ... apart: a task that always came to the wrong worker would be tried about ten times.
    assert await _sum(both, "activity_attempts_total", outcome="unknown") <= COUNT * (2 * LENGTH + 2) * 5
    plant.assert_no_effect_twice()
    await plant.check(
        [f"{kind}-{n}" for kind in ("chain", "errand", "parent") for n in range(COUNT)]
        + [f"parent-{n}-chain" for n in range(COUNT)]
    )


async def test_without_the_one_that_knows_it_an_instance_is_quarantined_and_heals_when_it_comes_back(
    plant: Plant,
) -> None:
    plant.settings = {**SHORT_LEASES, "park_min_ms": 100, "park_max_ms": 400}
    main, annex = await _both(plant)
    annex.send(signal.SIGKILL)
    await annex.killed()
    handle = await plant.client.start(errand, LENGTH, instance_id="errand")

    async def is_quarantined() -> bool:
        mark = (await plant.client.get_status("errand")).quarantined
        return mark is not None and mark.reason == "unknown orchestrator" and mark.tries > 2

    await until(is_quarantined, "it is quarantined, and was tried again")
    assert "no worker here knows the orchestrator 'errand'" in str(
        (await plant.client.get_status("errand")).quarantined
    )
    assert main.said.count("instance errand is quarantined") == 1
    await plant.worker(app=ANNEX)
    assert await handle.result(timeout=20) == LENGTH
    assert (await plant.client.get_status("errand")).quarantined is None
    await assert_clean(plant.store)


async def test_a_task_that_only_the_absent_worker_knows_waits_for_it(plant: Plant) -> None:
    """The orchestrations of the annex go on, its activities are not there: nothing is lost, nothing fails."""
    await plant.worker()
    turns_only = await plant.worker("--roles", "orchestrations", app=ANNEX)
    handle = await plant.client.start(errand, 1, instance_id="errand")
    main_said = "no worker registers the activity 'fetch'"
    await until(lambda: any(main_said in log for log in plant.logs().split("--- ")), "it is told")
    assert (await plant.client.get_status("errand")).runtime_status == "Running"
    await plant.worker("--roles", "activities", app=ANNEX)
    assert await handle.result(timeout=20) == 1
    assert turns_only.said.count("fetch") == 0
    await assert_clean(plant.store)
