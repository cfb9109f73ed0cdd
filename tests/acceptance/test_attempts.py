"""kill -9 in the middle of an attempt: the history shows it, and the next attempt goes on where the last one was."""

from __future__ import annotations

import signal

from redurable.core.events import AttemptRow, HistoryRow
from tests.acceptance.kit import LONG_LEASES, Plant
from tests.acceptance.plant_app import held, read_book
from tests.support.leftovers import assert_clean
from tests.support.processes import WorkerProcess, until


def _pid(row: HistoryRow) -> int:
    """The process that a row names: a worker's name holds its process id."""
    return int(getattr(row, "worker", "").split("-")[-2])


def _shown(history: list[HistoryRow], seq: int) -> list[tuple[str, int]]:
    """(event, attempt) of one call; attempt 0: it is no row of an attempt."""
    rows = [row for row in history if getattr(row, "seq", 0) == seq]
    return [(type(row).__name__, row.attempt if isinstance(row, AttemptRow) else 0) for row in rows]


async def _kill(worker: WorkerProcess) -> None:
    worker.send(signal.SIGKILL)
    await worker.killed()


async def test_a_killed_attempt_is_shown_with_the_one_after_it(plant: Plant) -> None:
    victim = await plant.worker()
    handle = await plant.client.start(held, "door", instance_id="one")
    await until(lambda: bool(plant.effects("hold begins")), "the activity begins")
    await _kill(victim)
    heir = await plant.worker()
    await until(lambda: len(plant.effects("hold begins")) == 2, "the activity begins again")
    plant.open_gate("door")
    assert await handle.result(timeout=20) == ["held door"]

    assert [effect.attempt for effect in plant.effects("hold begins")] == [1, 2]
    history = await plant.client.get_history("one")
    assert _shown(history, 2) == [
        ("ActivityScheduled", 0),
        ("ActivityStarted", 1),
        ("ActivityAttemptCrashed", 1),
        ("ActivityStarted", 2),
        ("ActivityCompleted", 0),
    ]
    started = [row for row in history if type(row).__name__ == "ActivityStarted" and getattr(row, "seq", 0) == 2]
    assert [_pid(row) for row in started] == [victim.pid, heir.pid]
    times = [row.at for row in history]
    assert times == sorted(times)
    # Three activities: a turn for the start, and one for each outcome. The crash took none.
    stored = await plant.store.history("one")
    assert len([event for event in stored if event.commit]) == 4
    await plant.check(["one"])


async def test_what_a_killed_attempt_has_said_is_read_by_the_next(plant: Plant) -> None:
    victim = await plant.worker()
    handle = await plant.client.start(read_book, "book", instance_id="one")
    beats = plant.store.layout.of("one").beats

    async def is_stored() -> bool:
        return await plant.store.lane.call("HVALS", beats) == [b"3"]

    await until(is_stored, "the page is stored")
    await _kill(victim)
    plant.open_gate("book")
    await plant.worker()
    assert await handle.result(timeout=20) == [3, 2]
    await plant.check(["one"])


async def test_what_a_stopped_worker_has_said_is_read_by_the_next(plant: Plant) -> None:
    """A deploy is no crash: the task is handed over, and it is the same attempt."""
    plant.settings = {**LONG_LEASES, "drain_timeout_ms": 300}
    leaving = await plant.worker()
    handle = await plant.client.start(read_book, "book", instance_id="one")
    await until(lambda: bool(plant.effects("count_pages")), "the activity begins")
    leaving.send(signal.SIGTERM)
    assert await leaving.ended() == 0
    plant.open_gate("book")
    await plant.worker()
    assert await handle.result(timeout=20) == [3, 1]
    assert _shown(await plant.client.get_history("one"), 1) == [
        ("ActivityScheduled", 0),
        ("ActivityStarted", 1),
        ("ActivityCompleted", 0),
    ]
    await plant.check(["one"])


async def test_an_activity_that_kills_its_workers_is_given_up(plant: Plant) -> None:
    """Three attempts by the default policy; then who asked is told."""
    await plant.client.start(held, "door", instance_id="one")
    for attempt in (1, 2, 3):
        victim = await plant.worker()
        begun = attempt
        await until(lambda begun=begun: len(plant.effects("hold begins")) == begun, f"attempt {attempt} begins")
        await _kill(victim)
    await plant.worker()
    await until(lambda: _is_over(plant), "the orchestration has failed")
    status = await plant.client.get_status("one", show_history=True)
    assert status.failure is not None
    assert status.failure.type == "ActivityCrashed"
    assert status.failure.cause is not None
    assert (status.failure.cause.type, status.failure.cause.attempts) == ("ActivityCrashed", 3)
    rows = [(name, number) for number in (1, 2, 3) for name in ("ActivityStarted", "ActivityAttemptCrashed")]
    assert _shown(status.history or [], 2) == [("ActivityScheduled", 0), *rows, ("ActivityFailed", 0)]
    await assert_clean(plant.store)


async def _is_over(plant: Plant) -> bool:
    return (await plant.client.get_status("one")).runtime_status.finished
