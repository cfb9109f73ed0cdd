"""A failed order and its failed sub-orchestration, in another partition, are rewound after the code was repaired: what
was done before is not done again, also when a worker is killed on the way."""

from __future__ import annotations

import signal

import pytest

from redurable import OrchestrationFailed
from redurable.client import Handle
from redurable.core.events import ExecutionRewound
from redurable.core.ids import partition_of
from tests.acceptance.kit import Plant
from tests.acceptance.plant_app import order, parcel_of
from tests.support.faults import Fault, kill_after, kill_before

ONE, PARCEL = "one", parcel_of("one")


async def _failed(plant: Plant) -> Handle[int]:
    """The order has failed; no worker is there."""
    assert partition_of(ONE, plant.store.partitions) != partition_of(PARCEL, plant.store.partitions)
    worker = await plant.worker()
    handle = await plant.client.start(order, 3, instance_id=ONE)
    with pytest.raises(OrchestrationFailed):
        await handle.result(timeout=20)
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0
    assert (await plant.client.get_status(PARCEL)).runtime_status == "Failed"
    return handle


async def _check(plant: Plant, handle: Handle[int]) -> None:
    assert await handle.result(timeout=20) == 30 + 33 + 3 + 9
    await plant.check([ONE, PARCEL])
    for instance in (ONE, PARCEL):
        marks = [e for e in await plant.client.get_history(instance) if isinstance(e, ExecutionRewound)]
        assert [mark.reason for mark in marks] == ["the lorry is repaired"]
        assert len(await plant.client.list_executions(instance)) == 2


async def test_what_was_done_is_kept_and_the_rest_goes_on(plant: Plant) -> None:
    handle = await _failed(plant)
    plant.open_gate("repaired")
    await plant.client.rewind(ONE, "the lorry is repaired")
    assert (await plant.client.get_status(ONE)).runtime_status == "Running"
    await plant.worker()
    await _check(plant, handle)
    plant.assert_no_effect_twice()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(kill_before("commit", 1), id="before the first turn is committed"),
        pytest.param(kill_after("commit", 1), id="after it"),
        pytest.param(kill_after("commit", 2), id="after a later turn"),
        pytest.param(kill_after("complete", 1), id="after a completion"),
    ],
)
async def test_the_worker_that_goes_on_may_be_killed(plant: Plant, fault: Fault) -> None:
    handle = await _failed(plant)
    plant.open_gate("repaired")
    await plant.client.rewind(ONE, "the lorry is repaired")
    victim = await plant.faulty(fault)
    await victim.killed()
    await plant.worker()
    await _check(plant, handle)
    plant.assert_no_effect_twice("step", "press")


async def test_what_is_not_repaired_fails_again_and_can_be_rewound_again(plant: Plant) -> None:
    handle = await _failed(plant)
    await plant.client.rewind(ONE, "try")
    worker = await plant.worker()
    with pytest.raises(OrchestrationFailed):
        await handle.result(timeout=20)
    plant.open_gate("repaired")
    await plant.client.rewind(ONE, "the lorry is repaired")
    assert await handle.result(timeout=20) == 30 + 33 + 3 + 9
    assert worker.pid
    plant.assert_no_effect_twice()
    await plant.check([ONE, PARCEL])
