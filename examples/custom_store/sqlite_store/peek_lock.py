"""Peek-locks: a row is handed to one consumer at a time, and stays until it is acknowledged.

A row without holder waits. Receiving sets `holder` and `leased`, and counts; whoever finds a lease that ran out may
take it over; acknowledging deletes the row, whoever holds it. Ids only grow, so one id never means two rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from msgspec import Struct

from .database import Database, Row


class PeekLock(Struct, frozen=True):
    """A table with the columns id, holder and leased. `among`: which of its rows a caller asks for, two JSON arrays."""

    table: str
    among: str

    def take(self, db: Database, consumer: str, count: int, *among: Iterable[object]) -> list[Row]:
        """Rows that wait, oldest first."""
        return self._hand_over(db, consumer, count, f"holder IS NULL AND {self.among}", *_arrays(among))

    def claim(self, db: Database, consumer: str, lease_ms: int, count: int, *among: Iterable[object]) -> list[Row]:
        """Rows whose lease ran out, the caller's own ones too: their delivery may have been lost. `holder` says who
        held them."""
        expired = f"leased <= {db.now - lease_ms:d} AND {self.among}"
        return self._hand_over(db, consumer, count, expired, *_arrays(among))

    def own(self, db: Database, consumer: str) -> list[Row]:
        """All that a consumer holds. That it asks is no new delivery."""
        db.execute(f"UPDATE {self.table} SET deliveries = deliveries - 1 WHERE holder = ?", consumer)
        return self._hand_over(db, consumer, -1, "holder = ?", consumer)

    def _hand_over(self, db: Database, consumer: str, count: int, condition: str, *values: str) -> list[Row]:
        """The rows as they were before."""
        rows = db.execute(f"SELECT * FROM {self.table} WHERE {condition} ORDER BY id LIMIT ?", *values, count)
        db.write_all(
            f"UPDATE {self.table} SET holder = ?, leased = ?, deliveries = deliveries + 1 WHERE id = ?",
            [(consumer, db.now, row["id"]) for row in rows],
        )
        return rows

    def renew(self, db: Database, consumer: str, entry_id: str) -> bool:
        """Let a lease begin anew. False when this consumer does not hold the row."""
        update = f"UPDATE {self.table} SET leased = ? WHERE id = ? AND holder = ?"
        return db.count(update, db.now, int(entry_id), consumer) > 0

    def give_up(self, db: Database, consumer: str, entry_id: str) -> bool:
        """Delete a row that this consumer holds. False when it does not."""
        return db.count(f"DELETE FROM {self.table} WHERE id = ? AND holder = ?", int(entry_id), consumer) > 0

    def acknowledge(self, db: Database, entry_id: str) -> bool:
        """Delete a row that anybody holds. False when nobody does: somebody has ended it before."""
        return db.count(f"DELETE FROM {self.table} WHERE id = ? AND holder IS NOT NULL", int(entry_id)) > 0


def _arrays(among: Iterable[Iterable[object]]) -> list[str]:
    return [json.dumps(list(values)) for values in among]


READY = PeekLock("ready", "partition IN (SELECT value FROM json_each(?))")
TASKS = PeekLock("tasks", "partition IN (SELECT value FROM json_each(?)) AND queue IN (SELECT value FROM json_each(?))")
