"""An orchestrator that ends its worker's process: it alone is quarantined, and it goes on when somebody redrives it."""

from __future__ import annotations

import json
import os
import sys

import anyio
import pytest

from redurable.client import Quarantine
from tests.acceptance.kit import SHORT_LEASES, Plant
from tests.acceptance.plant_app import chain, detonate
from tests.support.leftovers import assert_clean
from tests.support.processes import CHECKOUT, WorkerProcess, until

pytestmark = pytest.mark.timeout(200)

MOST = 3
NEIGHBOURS = 30


async def _command(plant: Plant, *words: str) -> dict[str, object]:
    """What `redurable WORDS -o json` says."""
    return json.loads(await _said(plant, *words, "-o", "json"))


async def _said(plant: Plant, *words: str) -> str:
    """What `redurable WORDS` says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REDURABLE_")}
    line = [sys.executable, "-m", "redurable", *words, "--redis", plant.server.url, "--hub", plant.store.hub]
    done = await anyio.run_process(line, env=clean, cwd=CHECKOUT)
    return done.stdout.decode()


async def _start_all(plant: Plant) -> None:
    """The killer among its neighbours, all with mail, so that one batch takes them all."""
    for number in range(NEIGHBOURS):
        await plant.client.start(chain, 1, instance_id=f"neighbour-{number}")
        if number == NEIGHBOURS // 3:
            await plant.client.start(detonate, "antidote", instance_id="killer")
            await plant.client.raise_event("killer", "Go", "it")


async def _counts(worker: WorkerProcess, metric: str) -> bool:
    return await worker.metric(metric) > 0


async def _quarantine(plant: Plant) -> Quarantine | None:
    return (await plant.client.get_status("killer")).quarantined


async def test_a_killer_is_quarantined_its_neighbours_are_not_and_a_redrive_makes_it_complete(plant: Plant) -> None:
    plant.settings = {**SHORT_LEASES, "max_deliveries": MOST}
    await _start_all(plant)
    for _ in range(MOST):
        victim = plant.begin_worker()
        assert await victim.ended() == 13
    survivor, *_ = await plant.workers(1)

    for number in range(NEIGHBOURS):
        assert await plant.client.get_handle(f"neighbour-{number}").result(timeout=20) == [0]

    async def is_quarantined() -> bool:
        return await _quarantine(plant) is not None

    await until(is_quarantined, "the killer is quarantined")
    mark = await _quarantine(plant)
    assert mark is not None
    assert (mark.reason, mark.next_try) == ("poison", None)
    assert f"{MOST} workers fell silent in a turn of it" in mark.detail
    # It is in the store before the worker tells of it.
    await until(lambda: _counts(survivor, "redurable_quarantines_total"), "the quarantine is counted")
    assert await survivor.metric("redurable_quarantines_total", reason="poison", type="detonate") == 1
    assert await survivor.metric("redurable_quarantines_total") == 1
    await until(lambda: "is quarantined" in survivor.said, "the quarantine is in the log")
    assert survivor.said.count("is quarantined") == 1

    shown = await _command(plant, "status", "killer")
    assert "after `redurable redrive killer`" in await _said(plant, "status", "killer")
    assert (shown["runtime_status"], shown["unread_mail"]) == ("Pending", 1)
    plant.open_gate("antidote")
    assert await _command(plant, "redrive", "killer") == {"instance_id": "killer", "done": "redriven"}
    assert await plant.client.get_handle("killer", result_type=str).result(timeout=20) == "it is harmless"
    assert await _quarantine(plant) is None
    await until(lambda: _counts(survivor, "redurable_quarantines_ended_total"), "its end is counted")
    assert await survivor.metric("redurable_quarantines_ended_total", type="detonate") == 1
    await assert_clean(plant.store)


async def test_a_redrive_without_a_repair_ends_in_quarantine_again_and_it_can_be_terminated(plant: Plant) -> None:
    plant.settings = {**SHORT_LEASES, "max_deliveries": 1}
    await plant.client.start(detonate, "antidote", instance_id="killer")
    await plant.client.raise_event("killer", "Go", "it")
    for again in (False, True):
        if again:
            assert await plant.client.redrive("killer")
        assert await plant.begin_worker().ended() == 13
        witness = await plant.worker()

        async def is_held() -> bool:
            mark = await _quarantine(plant)
            return mark is not None and mark.next_try is None

        await until(is_held, "it is held")
        witness.close()
    await plant.worker()
    await plant.client.terminate("killer", "given up")
    await until(lambda: _is_over(plant), "it is terminated")


async def _is_over(plant: Plant) -> bool:
    return (await plant.client.get_status("killer")).runtime_status.finished
