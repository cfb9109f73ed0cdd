"""The file: one connection, transactions, and what SQLite's errors mean to the runtime.

Everything here is plain blocking code. `store` runs it in a thread, one verb at a time, each verb in one transaction:
that is all there is to "atomic" in this store.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from redurable.core.ids import partition_of
from redurable.errors import StoreError, StoreFull, StoreRefused, StoreUnavailable

FORMAT = 4
LEAST_VERSION = (3, 37, 0)
"""The first SQLite with STRICT tables."""
BUSY_SECONDS = 5.0
SCHEMA = Path(__file__).with_name("schema.sql")

Clock = Callable[[], int]
Row = sqlite3.Row


def real_time() -> int:
    """The clock of the machine that the file is on, in milliseconds: the only clock of the hub."""
    return time.time_ns() // 1_000_000


class Database:
    """A connection to the file of a hub. `now` is the time of the running transaction, one for all that it writes."""

    def __init__(self, path: Path, clock: Clock = real_time) -> None:
        self.path = path
        self.partitions = 0
        self.now = 0
        self._clock = clock
        self._connection: sqlite3.Connection | None = None

    def open(self, hub: str, partitions: int) -> None:
        """Create the hub or join it. Raises `StoreRefused` for a file or a SQLite that cannot be used."""
        if sqlite3.sqlite_version_info < LEAST_VERSION:
            raise StoreRefused(f"SQLite {sqlite3.sqlite_version} is too old: {LEAST_VERSION[:2]} or newer is needed")
        self._connection = connect(self.path)
        with errors(self.path):
            found = self.one("PRAGMA user_version")["user_version"]
            if found == 0:
                self._opened.executescript(SCHEMA.read_text())
            elif found != FORMAT:
                raise StoreRefused(f"{self.path} has format {found}, this store reads {FORMAT}: update it")
        with self.transaction():
            self.execute(
                "INSERT INTO hub (name, partitions) SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM hub)", hub, partitions
            )
            row = self.one("SELECT name, partitions FROM hub")
        if row["name"] != hub:
            raise StoreRefused(f"{self.path} is the file of hub {row['name']!r}, not of {hub!r}: use another file")
        self.partitions = row["partitions"]

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def transaction(self, mode: Literal["IMMEDIATE", "DEFERRED"] = "IMMEDIATE") -> Generator[None]:
        """All or nothing. IMMEDIATE has the right to write from its beginning; DEFERRED reads one state of the file."""
        with errors(self.path):
            self._opened.execute(f"BEGIN {mode}")
            self.now = self._clock()
            try:
                yield
                self._opened.execute("COMMIT")
            except BaseException:
                if self._opened.in_transaction:  # SQLite has already rolled back after some errors, as a full disk.
                    self._opened.execute("ROLLBACK")
                raise

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """All or nothing within a transaction that goes on."""
        self._opened.execute("SAVEPOINT step")
        try:
            yield
        except BaseException:
            if self._opened.in_transaction:
                self._opened.execute("ROLLBACK TO step")
            raise
        finally:
            if self._opened.in_transaction:
                self._opened.execute("RELEASE step")

    def execute(self, sql: str, *values: Any) -> list[Row]:
        """Run a statement; its rows, also those of RETURNING."""
        return self._opened.execute(sql, values).fetchall()

    def write_all(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run a statement for each of these rows."""
        self._opened.executemany(sql, rows)

    def count(self, sql: str, *values: Any) -> int:
        """Run an UPDATE or DELETE; how many rows it changed."""
        return self._opened.execute(sql, values).rowcount

    def first(self, sql: str, *values: Any) -> Row | None:
        """The first row of a query, if it has any."""
        rows = self.execute(sql, *values)
        return rows[0] if rows else None

    def one(self, sql: str, *values: Any) -> Row:
        """The row of a query that always has one."""
        return self.execute(sql, *values)[0]

    def partition_of(self, instance: str) -> int:
        """The partition that an instance lives in."""
        return partition_of(instance, self.partitions)

    @property
    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreRefused(f"the store of {self.path} is not open: await its `open()` first")
        return self._connection


def connect(path: Path) -> sqlite3.Connection:
    """A connection that never begins a transaction by itself. What it commits is on the disk: WAL, synchronous FULL."""
    with errors(path):
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.text_factory = _text
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def errors(path: Path) -> Generator[None]:
    """SQLite's errors become those of the runtime."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _meaning(path, error) from error


def _text(data: bytes) -> str:
    """SQLite takes any bytes for a text; those of a foreign client must not stop a worker."""
    return data.decode(errors="replace")


def _meaning(path: Path, error: sqlite3.DatabaseError) -> Exception:
    """What the runtime does about it: repeat the verb, wait for room, or stop and call a person."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return error  # This package's own mistake, as a statement with too few values.
    kinds: dict[int, type[StoreError]] = {
        sqlite3.SQLITE_BUSY: StoreUnavailable,
        sqlite3.SQLITE_LOCKED: StoreUnavailable,
        sqlite3.SQLITE_IOERR: StoreUnavailable,
        sqlite3.SQLITE_FULL: StoreFull,
    }
    primary = code & 0xFF
    return kinds.get(primary, StoreRefused)(f"{path}: {error} ({error.sqlite_errorname})")
