"""kill -9 of a worker at every moment that counts: another one goes on, and the history shows it only where an attempt
was under way."""

from __future__ import annotations

import signal

import pytest

from redurable.client import Handle
from tests.acceptance.kit import Plant
from tests.acceptance.plant_app import chain, held
from tests.support.faults import Fault, kill_after, kill_before
from tests.support.processes import until


async def _finish(plant: Plant, handle: Handle[list[int]]) -> None:
    """Another worker takes over what the dead one held."""
    await plant.worker()
    assert await handle.result(timeout=20) == [0, 10, 20]
    await plant.check(["one"])


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(kill_before("commit", 1), id="before the first commit"),
        pytest.param(kill_before("commit", 3), id="before a later commit"),
        pytest.param(kill_after("commit", 1), id="after the first commit"),
        pytest.param(kill_after("commit", 3), id="after a later commit"),
        pytest.param(kill_after("commit", 4), id="after the last commit"),
        pytest.param(kill_after("complete", 2), id="after a completion"),
        pytest.param(kill_after("complete", 2, trusting=True), id="after a completion with its turn"),
        pytest.param(kill_after("complete", 3, trusting=True), id="after the last completion with its turn"),
    ],
)
async def test_no_effect_is_repeated_when_no_attempt_was_under_way(plant: Plant, fault: Fault) -> None:
    victim = await plant.faulty(fault)
    handle = await plant.client.start(chain, 3, instance_id="one")
    await victim.killed()

    await _finish(plant, handle)
    assert len(plant.effects("step")) == 3
    plant.assert_no_effect_twice()


@pytest.mark.parametrize("trusting", [False, True], ids=["the completion alone", "the completion with its turn"])
async def test_after_an_effect_and_before_its_completion_only_that_effect_is_repeated(
    plant: Plant, trusting: bool
) -> None:
    victim = await plant.faulty(kill_before("complete", 2, trusting))
    handle = await plant.client.start(chain, 3, instance_id="one")
    await victim.killed()
    before = plant.effects("step")
    assert [effect.pid for effect in before] == [victim.pid, victim.pid]

    await _finish(plant, handle)
    repeated, *later = plant.effects("step")[2:]
    assert (repeated.key, repeated.attempt) == (before[1].key, 2)
    assert len(later) == 1
    assert len({effect.key for effect in plant.effects()}) == 3


async def test_during_an_activity(plant: Plant) -> None:
    victim = await plant.worker()
    handle = await plant.client.start(held, "door", instance_id="one")
    await until(lambda: bool(plant.effects("hold begins")), "the activity begins")
    victim.send(signal.SIGKILL)
    await victim.killed()

    heir = await plant.worker()
    await until(lambda: len(plant.effects("hold begins")) == 2, "the activity begins again")
    plant.open_gate("door")
    assert await handle.result(timeout=20) == ["held door"]
    begun = plant.effects("hold begins")
    assert [effect.pid for effect in begun] == [victim.pid, heir.pid]
    assert len({effect.key for effect in begun}) == 1
    plant.assert_no_effect_twice("hold", "step")
    await plant.check(["one"])


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(kill_before("commit", 6), id="before a commit"),
        pytest.param(kill_before("complete", 4), id="before a completion"),
        pytest.param(kill_after("complete", 4), id="after a completion"),
        pytest.param(kill_after("complete", 9, trusting=True), id="after a completion with its turn"),
    ],
)
async def test_one_of_two_workers_is_killed_under_load(plant: Plant, fault: Fault) -> None:
    victim = await plant.faulty(fault)
    await plant.worker()
    handles = await plant.lines_until(lambda: victim.has_ended, "the victim ends")
    await victim.killed()
    await plant.check_lines(handles)
