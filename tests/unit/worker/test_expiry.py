"""What finished long ago is deleted, with what goes with it, and archived before."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from redurable.core.delivery import Outgoing
from redurable.core.messages import Rewind, StartExecution
from redurable.core.values import Parent, RuntimeStatus
from redurable.errors import StoreRefused
from redurable.facts import Facts, InstancesPurged
from redurable.settings import WorkerSettings
from redurable.store.memory import MemoryHub, MemoryStore
from redurable.store.queries import Standing
from redurable.testing.conformance import scenes
from redurable.worker import archive, expiry
from redurable.worker.clock import StoreClock
from redurable.worker.common import Common
from redurable.worker.expiry import Expiry, ages_of
from redurable.worker.janitor import Mending
from redurable.worker.ownership import Ownership
from redurable.worker.patience import PatientStore

NOW = 1_700_000_000_000
DAY_MS = 86_400_000


class Tick:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class Yard:
    """A hub with a clock in hand, and the roles of a worker that owns all of it."""

    def __init__(self, **changes: Any) -> None:
        self.clock = Tick()
        self.store = MemoryStore(MemoryHub("yard", 2, self.clock), "w1")
        self.purged: list[InstancesPurged] = []
        settings, facts, clock, ownership = WorkerSettings(**changes), Facts(), StoreClock(), Ownership("w1", 2)
        facts.subscribe(lambda fact: self.purged.append(fact) if isinstance(fact, InstancesPurged) else None)
        ownership.assign(["w1"])
        clock.sync(NOW)
        parts: Any = [PatientStore(self.store, settings, facts), settings, facts, clock, ownership, *[None] * 4]
        self.common = Common(*parts)
        self.expiry = Expiry(self.common)

    async def finished(self, *instances: str, status: RuntimeStatus = RuntimeStatus.COMPLETED) -> None:
        for instance in instances:
            await self.end(await scenes.begin(self.store, instance, f"{instance}-x"), status)

    async def end(self, delivery: Any, status: RuntimeStatus = RuntimeStatus.COMPLETED) -> None:
        await scenes.accept(self.store, scenes.turn(delivery, f"h-{delivery.head}", scenes.raised(), status=status))

    async def child(self, instance: str, parent: str) -> None:
        start = StartExecution(
            name="Demo", execution=f"{instance}-x", call=scenes.message().call, parent=Parent(parent, "x", 1)
        )
        await self.store.send([Outgoing(instance, start)])

    async def family(self) -> None:
        """Instance `root` and its children `asked` and `other`, all finished."""
        root = await scenes.begin(self.store, "root", "root-x")
        for name in ("asked", "other"):
            await self.child(name, "root")
            await self.end(await scenes.take(self.store))
        await self.end(root)

    @property
    def left(self) -> list[str]:
        return sorted(name for partition in self.store.state.partitions for name in partition.instances)


def test_every_status_has_an_age_and_none_of_0_is_for_ever() -> None:
    assert ages_of(WorkerSettings()) == {
        RuntimeStatus.COMPLETED: 7 * DAY_MS,
        RuntimeStatus.FAILED: 30 * DAY_MS,
        RuntimeStatus.CANCELED: 30 * DAY_MS,
        RuntimeStatus.TERMINATED: 30 * DAY_MS,
    }
    assert RuntimeStatus.FAILED not in ages_of(WorkerSettings(retention_failed_ms=0))


async def test_what_is_old_enough_goes_by_its_status() -> None:
    yard = Yard()
    await yard.finished("done")
    await yard.finished("broken", status=RuntimeStatus.FAILED)
    await scenes.begin(yard.store, "busy")
    yard.clock.now += 7 * DAY_MS - 1
    assert await yard.expiry.poll() == 5_000
    assert yard.left == ["broken", "busy", "done"]
    yard.clock.now += 1
    await yard.expiry.poll()
    assert yard.left == ["broken", "busy"]
    yard.clock.now += 23 * DAY_MS
    await yard.expiry.poll()
    assert yard.left == ["busy"]
    assert yard.purged == [InstancesPurged((("Completed", 1),)), InstancesPurged((("Failed", 1),))]


async def test_a_round_has_a_bound_and_the_next_one_follows_soon() -> None:
    yard = Yard(retention_batch=3)
    await yard.finished(*(f"i-{n}" for n in range(7)))
    yard.clock.now += 7 * DAY_MS
    assert await yard.expiry.poll() < 5_000
    assert len(yard.left) == 4
    await yard.expiry.poll()
    assert await yard.expiry.poll() == 5_000
    assert yard.left == []


async def test_children_go_with_their_root_and_not_before() -> None:
    yard = Yard(retention_completed_ms=DAY_MS)
    root = await scenes.begin(yard.store, "root")
    for name in ("child", "busy"):
        await yard.child(name, "root")
    entries = {entry.instance: entry for entry in await scenes.receive(yard.store)}
    await yard.end(await scenes.checkout(yard.store, entries["child"]))
    await yard.child("grandchild", "child")
    await yard.end(await scenes.take(yard.store))
    yard.clock.now += 9 * DAY_MS
    await yard.expiry.poll()
    assert yard.left == ["busy", "child", "grandchild", "root"]
    await yard.end(root)
    yard.clock.now += DAY_MS
    await yard.expiry.poll()
    assert yard.left == ["busy"]
    await yard.end(await scenes.checkout(yard.store, entries["busy"]))
    yard.clock.now += DAY_MS
    await yard.expiry.poll()
    assert yard.left == []


async def test_a_child_whose_start_came_late_is_on_its_own() -> None:
    yard = Yard()
    await yard.child("late", "gone")
    await yard.end(await scenes.take(yard.store))
    yard.clock.now += 7 * DAY_MS
    await yard.expiry.poll()
    assert yard.left == ["late"]
    mending = Mending(yard.common)
    for _ in range(2):
        await mending.poll()
    await yard.expiry.poll()
    assert yard.left == []


async def test_the_archive_holds_what_was_deleted(tmp_path: Path) -> None:
    yard = Yard(archive_dir=str(tmp_path / "old"))
    first = scenes.turn(await scenes.begin(yard.store, "one"), "h1", scenes.raised(), next=scenes.message("x2"))
    await scenes.accept(yard.store, first)
    await yard.end(await scenes.take(yard.store))
    yard.clock.now += 7 * DAY_MS
    await yard.expiry.poll()
    assert yard.left == []
    (path,) = (tmp_path / "old").iterdir()
    assert path.name == "yard-2023-11-14-w1.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["type"], line["execution"]) for line in lines] == [
        ("history", "x1"), ("history", "x2"), ("instance", "x2")
    ]  # fmt: skip
    assert [event["type"] for event in lines[0]["events"]] == ["ExecutionStarted", "EventRaised"]
    assert lines[2]["executions"] == ["x1", "x2"]
    assert (lines[2]["status"], lines[2]["created_at"], lines[2]["tags"]) == ("Completed", NOW, {})


async def test_what_cannot_be_archived_is_not_deleted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "ARCHIVED_AT_ONCE", 1)
    blocked = tmp_path / "old"
    blocked.write_text("no directory")
    yard = Yard(archive_dir=str(blocked))
    names = ["five", "four", "one", "six", "three", "two"]
    await yard.finished(*names)
    yard.clock.now += 7 * DAY_MS
    assert await yard.expiry.poll() == 5_000
    assert sorted(yard.left) == names
    assert caplog.text.count("cannot be written") == 1
    blocked.unlink()
    await yard.expiry.poll()
    assert yard.left == []


async def test_one_that_cannot_be_read_holds_up_no_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    yard = Yard(archive_dir=str(tmp_path), retention_batch=1)
    await yard.finished("broken", "fine")
    yard.store.state.of("broken").histories["broken"][-1] = b'{"type":"FromTheFuture","v":9}'
    yard.clock.now += 7 * DAY_MS
    with pytest.raises(StoreRefused):
        await yard.store.history("broken")
    for _ in range(4):
        await yard.expiry.poll()
    assert yard.left == ["broken"]
    assert caplog.text.count("cannot be archived") == 1


@pytest.mark.parametrize("at_once", [1, 50])
@pytest.mark.parametrize("broken", ["asked", "other", "root"])
async def test_a_family_stays_as_a_whole_when_one_of_it_cannot_be_archived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str, at_once: int
) -> None:
    monkeypatch.setattr(expiry, "ARCHIVED_AT_ONCE", at_once)
    yard = Yard(archive_dir=str(tmp_path))
    await yard.family()
    await yard.finished("fine")
    await yard.child("busy", "root")
    busy = await scenes.take(yard.store)
    yard.store.state.of(broken).histories[broken][-1] = b'{"type":"FromTheFuture","v":9}'
    yard.clock.now += 7 * DAY_MS
    for _ in range(4):
        await yard.expiry.poll()
    await yard.end(busy)
    yard.clock.now += 7 * DAY_MS
    await yard.expiry.poll()
    assert yard.left == ["asked", "busy", "other", "root"]
    assert [child.instance for child in await yard.store.children("root")] == ["asked", "busy", "other"]
    assert (
        caplog.text.count(f"instance {broken!r} cannot be archived, and is kept with all of the family of 'root'") == 1
    )
    path = tmp_path / "yard-2023-11-14-w1.jsonl"
    written = [
        line["instance"] for line in map(json.loads, path.read_text().splitlines()) if line["type"] == "instance"
    ]
    assert len(written) == len(set(written))  # They are not archived anew in every round.


async def test_many_that_have_to_stay_are_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(expiry, "MOST_STUCK", 2)
    yard = Yard(archive_dir=str(tmp_path), retention_batch=2)
    broken = [f"broken-{n}" for n in range(9)]
    await yard.finished(*broken)
    for name in broken:
        yard.store.state.of(name).histories[name][-1] = b'{"type":"FromTheFuture","v":9}'
    yard.clock.now += 1
    await yard.finished("fine-1", "fine-2")
    yard.clock.now += 7 * DAY_MS
    rests = [await yard.expiry.poll() for _ in range(8)]
    assert yard.left == broken
    assert rests[-1] == 5_000  # It does not look at them all the time.
    assert caplog.text.count("cannot be archived") == 2
    await yard.finished("fine-3")
    yard.clock.now += 7 * DAY_MS
    for _ in range(8):
        await yard.expiry.poll()
    assert yard.left == broken


async def test_the_walk_begins_anew_where_nothing_could_be_archived(tmp_path: Path) -> None:
    blocked = tmp_path / "old"
    blocked.write_text("no directory")
    yard = Yard(archive_dir=str(blocked), retention_batch=1)
    await yard.finished("one", "two")
    yard.clock.now += 7 * DAY_MS
    for _ in range(3):
        await yard.expiry.poll()
    blocked.unlink()
    for _ in range(2):
        await yard.expiry.poll()
    assert yard.left == []


async def test_a_family_stays_while_a_parent_waits_for_one_of_it_and_is_in_nobodys_way() -> None:
    yard = Yard(retention_batch=1)
    await yard.family()
    yard.clock.now += 1
    await yard.finished(*(f"i-{n}" for n in range(4)))
    await yard.store.send([Outgoing("asked", Rewind(parent=Parent("root", "root-x", 1), heir="y"))])
    yard.clock.now += 7 * DAY_MS
    for _ in range(7):
        await yard.expiry.poll()
    assert yard.left == ["asked", "other", "root"]
    assert [child.instance for child in await yard.store.children("root")] == ["asked", "other"]
    await scenes.accept(yard.store, scenes.turn(await scenes.take(yard.store), "h", status=None))
    for _ in range(4):
        await yard.expiry.poll()
    assert yard.left == []


async def test_a_parent_stays_that_asks_while_its_family_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    yard = Yard()
    await yard.family()
    purge = yard.store.purge

    async def asked(instance: str, execution: str = "") -> Any:
        await yard.store.send([Outgoing("asked", Rewind(parent=Parent("root", "root-x", 1), heir="y"))])
        return await purge(instance, execution)

    monkeypatch.setattr(yard.store, "purge", asked)
    yard.clock.now += 7 * DAY_MS
    await yard.expiry.poll()
    assert {"asked", "root"} <= set(yard.left)


async def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    yard = Yard(archive_dir=str(tmp_path))
    (tmp_path / "yard-2023-11-14-w1.jsonl").write_text('{"v":1,"type":"inst')
    await yard.finished("one")
    yard.clock.now += 7 * DAY_MS
    await yard.expiry.poll()
    lines = (tmp_path / "yard-2023-11-14-w1.jsonl").read_text().splitlines()
    assert [json.loads(line)["type"] for line in lines[1:]] == ["history", "instance"]


async def test_what_was_written_before_midnight_is_synced_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_MOST_BYTES", 1)  # each line is written at once
    synced: list[Path] = []

    def sync(number: int) -> None:
        synced.append(Path(f"/proc/self/fd/{number}").readlink())

    monkeypatch.setattr(os, "fsync", sync)
    yard = Yard()
    await yard.finished("one")
    kept = archive.Archive(yard.common, str(tmp_path))
    await kept.add(Standing("one", "one-x", RuntimeStatus.COMPLETED))
    before = kept.path
    yard.common.clock.sync(NOW + DAY_MS)
    assert kept.path != before
    await kept.sync()
    assert before in synced
    assert kept.path not in synced
    await kept.sync()
    assert kept.path in synced
