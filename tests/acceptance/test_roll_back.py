"""A deploy that breaks running orchestrations: they are marked, nothing is lost, and a roll-back heals them."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.kit import SHORT_LEASES, Plant
from tests.acceptance.plant_app import held
from tests.support.processes import until

pytestmark = pytest.mark.timeout(200)


async def test_a_changed_orchestrator_is_quarantined_and_the_old_code_goes_on(plant: Plant) -> None:
    plant.settings = {**SHORT_LEASES, "park_min_ms": 100, "park_max_ms": 400}
    await plant.worker("--roles", "activities")
    before = await plant.worker("--roles", "orchestrations")
    handle = await plant.client.start(held, "door", instance_id="one")
    await until(lambda: bool(plant.effects("hold begins")), "the activity begins")
    before.send(signal.SIGTERM)
    assert await before.ended() == 0
    changed = await plant.worker("--roles", "orchestrations", app="tests.acceptance.changed_app:app")
    plant.open_gate("door")

    async def is_quarantined() -> bool:
        found = (await plant.client.get_status("one")).quarantined
        return found is not None and found.tries > 2

    await until(is_quarantined, "it is quarantined, and was tried again")
    status = await plant.client.get_status("one")
    mark = status.quarantined
    assert mark is not None
    assert (status.runtime_status, mark.reason, mark.position) == ("Running", "nondeterminism", 1)
    assert mark.expected == "ActivityScheduled seq=1 name='step' (1)"
    assert mark.asked == "ScheduleActivity name='hold' (\"door\")"
    assert "changed_app.py" in mark.place
    assert changed.said.count("instance one is quarantined") == 1

    changed.send(signal.SIGTERM)
    assert await changed.ended() == 0
    await plant.worker("--roles", "orchestrations")
    assert await handle.result(timeout=20) == ["held door"]
    await plant.check(["one"])
    assert (await plant.client.get_status("one")).quarantined is None
