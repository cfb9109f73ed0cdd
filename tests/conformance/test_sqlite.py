"""The SQLite store that users are shown as an example fulfils the suite; a second connection plays other programs."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from examples.custom_store.sqlite_store import SqliteStore
from examples.custom_store.sqlite_store.fields import read_fields, write_fields
from redurable.store.port import Hub
from redurable.testing.conformance import *  # noqa: F403
from redurable.testing.conformance import StoreFactory
from redurable.testing.conformance.factory import EXHAUSTED

PARTITIONS = 4
GREATEST_ID = 2**63 - 1


class SqliteFactory(StoreFactory):
    """A file of its own, a clock that only moves when told, and a second connection that plays the other programs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1_700_000_000_000
        self._opened: list[SqliteStore] = []

    async def store(self, consumer: str) -> Hub:
        store = SqliteStore(self.path, "conformance", consumer, PARTITIONS, clock=lambda: self.now)
        self._opened.append(store)
        await store.open()
        return store

    async def close(self) -> None:
        """Let go of the file."""
        for store in self._opened:
            await store.close()

    async def advance(self, ms: int) -> None:
        self.now += ms

    async def xadd_intake(self, fields: Mapping[bytes, bytes]) -> str:
        return self.write("INSERT INTO intake (fields) VALUES (?)", write_fields(fields))

    async def xadd_mailbox(self, instance: str, fields: Mapping[bytes, bytes], entry_id: str = "*") -> str:
        assert entry_id in ("*", EXHAUSTED)
        entry = GREATEST_ID if entry_id == EXHAUSTED else self.now
        return self.write(
            """INSERT INTO mailbox (instance, id, fields)
               SELECT ?, max(?, coalesce(max(id), 0) + 1), ? FROM mailbox WHERE instance = ?""",
            *(instance, entry, write_fields(fields), instance),
        )

    async def empty_mailbox(self, instance: str) -> None:
        self.write("DELETE FROM mailbox WHERE instance = ?", instance)

    async def xadd_ready(self, partition: int, fields: Mapping[bytes, bytes]) -> str:
        """A row has a column for the name, so one that is no text cannot be written."""
        instance = fields[b"i"].decode(errors="ignore") or None if b"i" in fields else None
        return self.write(
            "INSERT INTO ready (partition, instance, queued) VALUES (?, ?, ?)", partition, instance, self.now
        )

    async def xadd_task(self, partition: int, queue: str, fields: Mapping[bytes, bytes]) -> str:
        return self.write(
            "INSERT INTO tasks (partition, queue, fields, queued) VALUES (?, ?, ?, ?)",
            *(partition, queue, write_fields(fields), self.now),
        )

    async def xadd_answer(self, partition: int, fields: Mapping[bytes, bytes]) -> str:
        return self.write("INSERT INTO answers (partition, fields) VALUES (?, ?)", partition, write_fields(fields))

    async def serve_queue(self, queue: str) -> None:
        self.write("INSERT INTO served VALUES (?)", queue)

    async def lose_ready(self, partition: int, entry_id: str) -> None:
        self.write("DELETE FROM ready WHERE partition = ? AND id = ?", partition, int(entry_id))

    async def break_history(self, instance: str) -> None:
        self.write(
            """UPDATE events SET body = ? WHERE instance = ?
               AND position = (SELECT max(position) FROM events WHERE instance = ?)""",
            *(b'{"type":"FromTheFuture","v":9}', instance, instance),
        )

    async def break_format(self) -> None:
        self.write("PRAGMA user_version = 5")

    async def dead_letters(self) -> list[dict[bytes, bytes]]:
        return [read_fields(fields) for (fields,) in self.query("SELECT fields FROM dead_letters ORDER BY id")]

    async def mailbox_ttl_ms(self, instance: str) -> int | None:
        ((expires,),) = self.query("SELECT max(expires) FROM mailbox WHERE instance = ?", instance)
        return None if expires is None else expires - self.now

    def write(self, sql: str, *values: Any) -> str:
        """What any SQLite client may do. Returns the id of the row."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as foreign:
            return str(foreign.execute(sql, values).lastrowid)

    def query(self, sql: str, *values: Any) -> list[Any]:
        """What any SQLite client may read."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as foreign:
            return foreign.execute(sql, values).fetchall()


@pytest.fixture
async def store_factory(tmp_path: Path) -> AsyncIterator[StoreFactory]:
    factory = SqliteFactory(tmp_path / "hub.db")
    yield factory
    await factory.close()
