"""How workers end: on SIGTERM with everything finished or handed over, and loudly when a role of theirs dies.

Where work is handed over, leases are far longer than the tests: nothing is taken over because one ran out.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from redurable.client import Handle
from tests.acceptance.kit import LONG_LEASES, SHORT_LEASES, Plant, free_port
from tests.acceptance.plant_app import ground, held, ponder
from tests.support.processes import WorkerProcess, probe, until

DRAIN_MS = 8_000


@pytest.fixture(autouse=True)
def _long_leases(plant: Plant) -> None:
    plant.settings = {**LONG_LEASES, "drain_timeout_ms": DRAIN_MS}


async def _load(
    plant: Plant, worker: WorkerProcess, handles: dict[str, Handle[float]], seconds: float, count: int, more: int = 5
) -> None:
    """Start so many `ponder`s, and go on with it until this worker has begun so many activities from now on: one that
    the machine lets stand for a moment leaves all of them to the others."""
    enough, last = _begun(plant, worker) + more, len(handles) + count

    async def is_busy() -> bool:
        if len(handles) >= last and _begun(plant, worker) >= enough:
            return True
        name = f"p{len(handles)}"
        handles[name] = await plant.client.start(ponder, seconds, instance_id=name)
        return False

    await until(is_busy, f"process {worker.pid} is busy")


def _begun(plant: Plant, worker: WorkerProcess) -> int:
    return sum(effect.pid == worker.pid for effect in plant.effects())


async def _terminate(plant: Plant, worker: WorkerProcess) -> None:
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0
    assert "Traceback" not in worker.said
    assert str(worker.pid) not in await _members(plant)


async def _members(plant: Plant) -> list[str]:
    """The process ids of the workers that the store believes to be alive."""
    names = await plant.store.lane.call("ZRANGE", plant.store.layout.hub.workers, 0, -1)
    return [name.decode().split("-")[-2] for name in names]


async def test_workers_are_replaced_under_load_and_nothing_is_lost_or_doubled(plant: Plant) -> None:
    first, second = await plant.workers(2)
    handles: dict[str, Handle[float]] = {}
    await _load(plant, first, handles, 0.2, 30)
    await _terminate(plant, first)
    third = await plant.worker()
    await _load(plant, second, handles, 0.2, 30)
    await _terminate(plant, second)

    for handle in handles.values():
        assert await handle.result(timeout=20) == pytest.approx(0.6)
    assert await _members(plant) == [str(third.pid)]
    plant.assert_no_effect_twice()
    await plant.check(handles)


async def test_what_does_not_end_in_time_is_handed_over_at_once(plant: Plant) -> None:
    leaving = await plant.worker(drain_timeout_ms=300)
    handle = await plant.client.start(held, "door", instance_id="one")
    await until(lambda: bool(plant.effects("hold begins")), "the activity begins")
    heir = await plant.worker()

    await _terminate(plant, leaving)
    await until(lambda: len(plant.effects("hold begins")) == 2, "the activity begins again")
    plant.open_gate("door")
    assert await handle.result(timeout=20) == ["held door"]
    begun = plant.effects("hold begins")
    assert [effect.pid for effect in begun] == [leaving.pid, heir.pid]
    assert len({effect.key for effect in begun}) == 1
    plant.assert_no_effect_twice("hold", "step")
    await plant.check(["one"])


async def test_threads_without_end_do_not_keep_a_worker_that_stops(plant: Plant) -> None:
    leaving = await plant.worker(drain_timeout_ms=300)
    for how in ("grind", "grind_elsewhere"):
        await plant.client.start(ground, "never", how, instance_id=how)
    await until(lambda: len(plant.effects("grind")) == 2, "the activities begin")
    await _terminate(plant, leaving)
    assert "1 activities still run in threads" in leaving.said


async def test_a_worker_that_is_told_to_stop_is_first_of_all_not_ready(plant: Plant) -> None:
    """And it is alive, and goes on with what it runs."""
    port = free_port()
    worker = await plant.worker("--metrics-port", str(port))
    await plant.client.start(held, "door", instance_id="one")
    await until(lambda: bool(plant.effects("hold begins")), "the activity begins")
    await until(lambda: probe(port, "readyz") == 200, "it is ready")
    worker.send(signal.SIGTERM)
    await until(lambda: probe(port, "readyz") == 503, "it is not ready")
    assert probe(port, "livez") == 200
    plant.open_gate("door")
    assert await worker.ended() == 0
    assert len(plant.effects("hold")) == 1


async def test_a_role_that_dies_takes_its_worker_with_it(plant: Plant, user: str) -> None:
    """The worker loses a permission while it works: it says so and ends, and the other one goes on alone."""
    plant.settings = SHORT_LEASES
    doomed = await plant.worker("--redis", f"unix://{user}:secret@{plant.server.socket}")
    await plant.worker()
    handles: dict[str, Handle[float]] = {}
    await _load(plant, doomed, handles, 0.1, 10, more=1)
    _set_user(plant, user, "-evalsha")

    assert await doomed.ended() == 1
    last = doomed.said.splitlines()[-1]
    assert last.startswith("redurable: the role ")
    assert " died: StoreRefused: this user may not do that: extend its ACL rules" in last
    assert "secret" not in doomed.said
    for handle in handles.values():
        assert await handle.result(timeout=20) == pytest.approx(0.3)
    await plant.check(handles)


@pytest.fixture
def user(plant: Plant) -> Iterator[str]:
    """A user of the server who may do everything, with the password "secret"."""
    name = f"user-{plant.store.hub}"
    _set_user(plant, name, "on", ">secret", "~*", "&*", "+@all")
    yield name
    with plant.server.client() as admin:
        admin.acl_deluser(name)  # pyright: ignore[reportUnknownMemberType]


def _set_user(plant: Plant, name: str, *rules: str) -> None:
    with plant.server.client() as admin:
        admin.execute_command("ACL", "SETUSER", name, *rules)  # pyright: ignore[reportUnknownMemberType]
