"""What only the SQLite store of the examples promises: about its file, its errors, and what other programs insert."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from examples.custom_store.sqlite_store import SqliteStore, database, open_store
from redurable.core.delivery import Outcome, Timer
from redurable.errors import StoreFull, StoreRefused, StoreUnavailable
from redurable.store.membership import Skills
from redurable.store.port import Reclaimed
from redurable.store.routing import Routed
from redurable.testing.conformance import scenes
from tests.conformance.test_sqlite import SqliteFactory

WEEK_MS = 7 * 24 * 3600 * 1000


@pytest.fixture
async def factory(tmp_path: Path) -> AsyncIterator[SqliteFactory]:
    factory = SqliteFactory(tmp_path / "hub.db")
    yield factory
    await factory.close()


async def test_a_turn_that_the_file_refuses_holds_up_no_other(factory: SqliteFactory) -> None:
    store = await factory.store("w1")
    deliveries = [await scenes.begin(store, name) for name in ("one", "two")]
    factory.write(
        "CREATE TRIGGER t BEFORE INSERT ON timers WHEN new.instance = 'one' BEGIN SELECT raise(ABORT, 'no'); END"
    )
    turns = [scenes.turn(d, f"h-{d.entry.instance}", timers=(Timer(1, 1),)) for d in deliveries]
    failed, accepted = (await store.commit(turns)).receipts
    assert (failed.outcome, failed.detail, accepted.outcome) == (Outcome.FAILED, "no", Outcome.ACCEPTED)
    assert [held.instance for held in (await store.recover()).entries] == ["one"]
    assert await store.history("one") == []
    factory.write("DROP TRIGGER t")
    await scenes.accept(store, turns[0])


async def test_a_file_belongs_to_one_hub_and_keeps_its_partitions(tmp_path: Path) -> None:
    async with open_store(tmp_path / "hub.db", "orders", "w1"):
        pass
    joined = SqliteStore(tmp_path / "hub.db", "orders", "w2", partitions=3)
    await joined.open()
    assert joined.partitions == 16
    await joined.close()
    with pytest.raises(StoreRefused, match="the file of hub 'orders', not of 'trips'"):
        async with open_store(tmp_path / "hub.db", "trips", "w3"):
            pass


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("all that glitters is not gold " * 100)
    for path in (tmp_path / "text.db", tmp_path / "no" / "folder.db"):
        with pytest.raises(StoreRefused, match=path.name):
            async with open_store(path, "orders", "w1"):
                pass


async def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "hub.db", "orders", "w1")
    for verb in (store.heartbeat(1, Skills()), store.receive([0], 1, 0), store.get("one")):
        with pytest.raises(StoreRefused, match="await its `open"):
            await verb


async def test_a_file_that_somebody_keeps_locked_is_unavailable(
    factory: SqliteFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    store = await factory.store("w1")
    with closing(sqlite3.connect(factory.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.start(scenes.request())
        assert await store.get("one") is None
    await scenes.begin(store)


def test_a_full_disk_rolls_back_and_is_called_so(tmp_path: Path) -> None:
    db = database.Database(tmp_path / "hub.db")
    db.open("orders", 4)
    db.execute("PRAGMA max_page_count = 60")
    with pytest.raises(StoreFull, match="full"):
        _write(db, "{}", '{"event": "' + "x" * 1_000_000 + '"}')
    assert db.execute("SELECT * FROM intake") == []
    _write(db, "{}")
    db.close()


def _write(db: database.Database, *entries: str) -> None:
    with db.transaction():
        for fields in entries:
            db.execute("INSERT INTO intake (fields) VALUES (?)", fields)


async def test_events_wait_a_week_for_their_instance(factory: SqliteFactory) -> None:
    store = await factory.store("w1")
    await scenes.send(store, "one", scenes.event("A"))
    await factory.advance(WEEK_MS - 1)
    await scenes.send(store, "one", scenes.event("B"))
    await scenes.send(store, "two", scenes.event("C"))
    await factory.advance(1)
    assert scenes.said(await scenes.begin(store, "one")) == [scenes.event("B")]
    await factory.advance(WEEK_MS)
    await store.reap(WEEK_MS)
    assert factory.query("SELECT DISTINCT instance FROM mailbox") == [("one",)]


async def test_other_programs_write_json(factory: SqliteFactory) -> None:
    store = await factory.store("w1")
    await scenes.running(store)
    for data in ("json('true')", "json('{\"n\": 1.5}')", "json_array(1, null)", "'\"text\"'"):
        factory.write(
            f"INSERT INTO intake (fields) VALUES (json_object('instance', 'one', 'event', 'Go', 'data', {data}))"
        )
    assert await store.route(10, 0) == Routed(4)
    heard = scenes.events(await scenes.take(store))
    assert [bytes(event.data) for event in heard] == [b"true", b'{"n": 1.5}', b"[1, null]", b'"text"']


@pytest.mark.parametrize(
    "fields",
    [
        '{"instance": "one", "event": "\\ud800\\udc41\\ud800"}',
        '{"instance": "one", "event": "Go", "data": ' + "9" * 5000 + "}",
        '{"instance": "one", "event": "Go", "data": 1e999}',
        '{"instance": "one", "event": "Go", "data": ' + "[" * 990 + "]" * 990 + "}",
        '{"instance": {"no": "text"}, "event": 1}',
        "{}",
    ],
    ids=["lone-surrogate", "long-number", "infinity", "deep", "types", "empty"],
)
async def test_what_other_programs_write_stops_nothing(factory: SqliteFactory, fields: str) -> None:
    store = await factory.store("w1")
    await scenes.running(store)
    factory.write("INSERT INTO intake (fields) VALUES (?)", fields)
    factory.write("INSERT INTO intake (fields) VALUES (?)", '{"instance": "one", "event": "Good"}')
    routed = await store.route(10, 0)
    assert routed.delivered + len(routed.dead) == 2
    assert scenes.events(await scenes.take(store))[-1].name == "Good"
    await scenes.drain(store)
    letters = await factory.dead_letters()
    assert len(letters) == len(routed.dead)
    assert all(letter[b"reason"] for letter in letters)


async def test_what_is_no_json_object_is_refused_at_the_door(factory: SqliteFactory) -> None:
    await factory.store("w1")
    for fields in ("{not json", "[1]", '"text"'):
        with pytest.raises(sqlite3.Error, match=r"CHECK|malformed"):
            factory.write("INSERT INTO intake (fields) VALUES (?)", fields)


async def test_a_cancelled_reader_takes_nothing(factory: SqliteFactory) -> None:
    one, two = await factory.store("w1"), await factory.store("w2")
    async with anyio.create_task_group() as group:
        group.start_soon(one.receive, scenes.everywhere(one), 10, 60_000)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    await two.start(scenes.request())
    assert await one.recover() == Reclaimed()
    assert len(await scenes.receive(two)) == 1


async def test_a_closed_file_can_be_copied(tmp_path: Path) -> None:
    async with open_store(tmp_path / "hub.db", "orders", "w1") as store:
        await scenes.running(store)
    copy = shutil.copy(tmp_path / "hub.db", tmp_path / "copy.db")
    async with open_store(copy, "orders", "w1") as store:
        assert len(await store.history("one")) == 1
