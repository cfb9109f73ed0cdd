"""A copy of a live hub, taken under load, is put on a new server after the old one is gone: everything in it ends well.

The ways are those of docs/operations.md: the append-only file while no rewrite runs, and a snapshot.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from redurable import Client, InstanceNotFound
from tests.acceptance.kit import Plant, plant_on
from tests.acceptance.plant_app import (
    asked,
    chain,
    child_of,
    detonate,
    eternal,
    held,
    line,
    line_result,
    parley,
    reminded,
)
from tests.support.histories import idempotency_keys
from tests.support.leftovers import assert_clean
from tests.support.processes import until
from tests.support.servers import Server

LINES = 16
WAITING = "bomb"
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def live(server: Server, hub: str, tmp_path: Path) -> AsyncGenerator[Plant, None]:
    """A plant on a server of its own, which writes an append-only file as it is recommended."""
    own = Server(server.kind, "--appendonly", "yes", "--appendfsync", "everysec")
    try:
        async with plant_on(own, hub, tmp_path) as plant:
            yield plant
    finally:
        own.stop()


async def _copied_append_only_file(server: Server, safe: Path) -> None:
    with server.client() as admin:
        admin.config_set("auto-aof-rewrite-percentage", 0)  # pyright: ignore[reportUnknownMemberType]
        await until(lambda: not _facts(server)["aof_rewrite_in_progress"], "no rewrite is under way")
        # While an fsync takes long the server keeps for up to 2 s what it has to write.
        await until(lambda: not _facts(server)["aof_buffer_length"], "all that was said is in the file")
        shutil.copytree(server.directory / "appendonlydir", safe / "appendonlydir")
        admin.config_set("auto-aof-rewrite-percentage", 100)  # pyright: ignore[reportUnknownMemberType]


async def _copied_snapshot(server: Server, safe: Path) -> None:
    with server.client() as admin:
        admin.bgsave()  # pyright: ignore[reportUnknownMemberType]
    path = server.directory / "dump.rdb"
    await until(lambda: path.exists() and not _facts(server)["rdb_bgsave_in_progress"], "the snapshot is written")
    shutil.copy(path, safe)


def _facts(server: Server) -> dict[str, Any]:
    with server.client() as admin:
        return admin.info("persistence")  # pyright: ignore[reportUnknownMemberType]


@pytest.fixture
def restored(server: Server) -> Iterator[Callable[[Path], Server]]:
    """`restored(safe)` starts a new server with what lies there."""
    begun: list[Server] = []

    def restore(safe: Path) -> Server:
        kept = "yes" if (safe / "appendonlydir").exists() else "no"
        new = Server(server.kind, "--appendonly", kept)
        begun.append(new)
        new.kill()
        shutil.copytree(safe, new.directory, dirs_exist_ok=True)
        new.run()
        return new

    yield restore
    for one in begun:
        one.stop()


@pytest.mark.parametrize("copy", [_copied_append_only_file, _copied_snapshot])
async def test_a_copy_of_a_live_hub_is_finished_on_another_server(
    live: Plant, copy: Callable[[Server, Path], Any], restored: Callable[[Path], Server], tmp_path: Path
) -> None:
    safe = tmp_path / "safe"
    safe.mkdir()
    await live.workers(2)
    await live.client.start(detonate, "antidote", instance_id=WAITING)
    handles = await live.start_lines(LINES)
    await until(lambda: len(live.effects()) >= LINES, "a part of the work is done")
    await copy(live.server, safe)
    live.close()  # Workers and server go, and with them all that came after the copy.
    live.server.kill()

    async with plant_on(restored(safe), live.store.hub, tmp_path) as plant:
        plant.open_gate("antidote")
        await plant.workers(2)
        await plant.client.raise_event(WAITING, "Go", "it")
        assert await _result(plant.client, WAITING) == "it is harmless"
        for number, instance in enumerate(handles):
            assert await _result(plant.client, instance) == line_result(number)
        again = await plant.client.start(line, LINES, instance_id="after")
        assert await again.result(timeout=30) == line_result(LINES)
        everything = [*handles, "after"]
        await _check_effects(plant, [*everything, *map(child_of, everything)])
        await assert_clean(plant.store)


RESULTS = {"told": ["held door"], "asked": "yes", "due": 10, "rounds": "10 rounds", "late": [0]}
DUE_SECONDS = 4.0
"""The copy is made before that, and the old server is gone after it."""


async def test_what_came_after_the_copy_comes_again(
    live: Plant, restored: Callable[[Path], Server], tmp_path: Path
) -> None:
    """Also what a caller was told already. An execution that the copy knows keeps its idempotency keys; what was begun
    after it begins under other ones: an instance that is started again, and a round of an eternal one."""
    safe = tmp_path / "safe"
    safe.mkdir()
    await live.worker()
    await live.client.start(held, "door", instance_id="told")
    await live.client.start(eternal, 9, [9, 10], instance_id="rounds")
    await live.client.start(asked, "token", instance_id="asked")
    await until(lambda: bool(live.effects("hold begins")), "the activity runs")
    await until(lambda: _is_handed_over(live.client, "asked"), "somebody else has the token")
    await until(lambda: _has(live.client, "rounds", "ExecutionStarted"), "it waits for its event")
    await live.client.start(reminded, DUE_SECONDS, instance_id="due")
    await until(lambda: _has(live.client, "due", "TimerCreated"), "its timer runs")
    await _copied_append_only_file(live.server, safe)
    await _finish(live)
    live.close()
    live.server.kill()
    once = {effect.key for effect in live.effects()}

    async with plant_on(restored(safe), live.store.hub, tmp_path) as plant:
        with pytest.raises(InstanceNotFound):
            await plant.client.get_status("late")
        for instance in ("told", "asked", "due", "rounds"):
            assert (await plant.client.get_status(instance)).runtime_status == "Running"
        before = len(plant.effects())
        await plant.worker()
        await _finish(plant)
        await assert_clean(plant.store)
        again = {effect.key for effect in plant.effects()[before:]}
    assert Counter(_instance(key) for key in once & again) == {"told": 2, "due": 1}
    assert Counter(_instance(key) for key in again - once) == {"rounds": 1, "late": 1}


async def _finish(plant: Plant) -> None:
    """What happens after the copy."""
    await plant.client.start(chain, 1, instance_id="late")
    plant.open_gate("door")
    await plant.client.complete_activity(plant.gate("token").read_text(), "yes")
    for number in (9, 10):
        await plant.client.raise_event("rounds", f"Go on from {number}")
    assert {name: await _result(plant.client, name) for name in RESULTS} == RESULTS


async def test_workers_that_live_on_drop_what_the_copy_does_not_know(live: Plant, tmp_path: Path) -> None:
    safe = tmp_path / "safe"
    safe.mkdir()
    await live.worker()
    handle = await live.client.start(parley, instance_id="one")
    await until(lambda: _has(live.client, "one", "ExecutionStarted"), "it waits for its event")
    await _copied_append_only_file(live.server, safe)
    await live.client.raise_event("one", "First", "lost")
    await until(lambda: _has(live.client, "one", "ActivityCompleted"), "the worker's cache is ahead of the copy")
    live.server.kill()
    shutil.rmtree(live.server.directory / "appendonlydir")
    shutil.copytree(safe, live.server.directory, dirs_exist_ok=True)
    live.server.run()
    assert not await _has(live.client, "one", "ActivityCompleted")
    await live.client.raise_event("one", "First", "again")
    await live.client.raise_event("one", "Second", "new")
    assert await handle.result(timeout=30) == ["again", "new"]
    first, same, _ = (effect.key for effect in live.effects("step"))
    assert first == same


async def _is_handed_over(client: Client, instance: str) -> bool:
    status = await client.get_status(instance, show_activities=True)
    return [call.state for call in status.pending_activities or ()] == ["handed-over"]


async def _has(client: Client, instance: str, event: str) -> bool:
    return event in [type(each).__name__ for each in await client.get_history(instance)]


def _instance(key: str) -> str:
    return key.partition(":")[0]


async def _check_effects(plant: Plant, instances: list[str]) -> None:
    """Each activity has had its effect. Of those that the copy does not know, only a child's may have another key: the
    turn that began it is taken again, and begins another execution."""
    keys = set[str]()
    for instance in instances:
        status = await plant.client.get_status(instance, show_history=True)
        assert status.history is not None
        keys |= set(idempotency_keys(instance, status.history))
    had = {effect.key for effect in plant.effects()}
    assert keys <= had
    children = tuple(child_of(instance) for instance in instances)
    assert all(key.startswith(children) for key in had - keys)


async def _result(client: Client, instance: str) -> object:
    return await client.get_handle(instance).result(timeout=30)
