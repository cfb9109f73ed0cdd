"""Calls of activities that were cancelled: one table is the news for workers, and the mark that `renew` looks for."""

from __future__ import annotations

from collections.abc import Sequence

from redurable.core.limits import MOST_MARKS
from redurable.core.values import Task
from redurable.store.port import CanceledCalls

from .database import Database, Row


def tell_canceled(db: Database, partition: int, instance: str, execution: str, seqs: Sequence[int]) -> None:
    """Write these calls down; the oldest ones of the partition go."""
    db.write_all(
        "INSERT INTO canceled (partition, instance, execution, seq) VALUES (?, ?, ?, ?)",
        [(partition, instance, execution, seq) for seq in seqs],
    )
    db.execute(
        """DELETE FROM canceled WHERE partition = ? AND id <=
           (SELECT id FROM canceled WHERE partition = ? ORDER BY id DESC LIMIT 1 OFFSET ?)""",
        *(partition, partition, MOST_MARKS),
    )


def canceled(db: Database, after: dict[int, str]) -> list[tuple[int, CanceledCalls]]:
    """News behind these ids."""
    news: list[tuple[int, CanceledCalls]] = []
    for partition, position in after.items():
        rows = db.execute(
            "SELECT * FROM canceled WHERE partition = ? AND id > ? ORDER BY id", partition, int(position or 0)
        )
        news += [(partition, _news(row)) for row in rows]
    return news


def _news(row: Row) -> CanceledCalls:
    return CanceledCalls(str(row["id"]), row["instance"], row["execution"], (row["seq"],))


def is_canceled(db: Database, task: Task) -> bool:
    """Whether the call of this task was cancelled."""
    found = db.first(
        "SELECT 1 FROM canceled WHERE instance = ? AND execution = ? AND seq = ?",
        *(task.instance, task.execution, task.seq),
    )
    return found is not None
