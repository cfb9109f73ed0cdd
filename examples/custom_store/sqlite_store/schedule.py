"""What is to happen at a time: rows of the table `timers`. What they do when they are due is in `timers`."""

from __future__ import annotations

from msgspec import Struct, structs

from redurable.store.port import DueTimer

from .database import Database


class Planned(Struct, frozen=True):
    """A timer. `execution` and `seq` say which call it belongs to: of a kind, a call has one timer, the newest."""

    kind: str
    due: int
    instance: str
    execution: str | None = None
    seq: int | None = None
    entry: int | None = None
    task: bytes | None = None


COLUMNS = ", ".join(Planned.__struct_fields__)
VALUES = ", ".join("?" for _ in Planned.__struct_fields__)


def plan(db: Database, partition: int, timer: Planned) -> DueTimer:
    """Write a timer down."""
    row = db.one(
        f"INSERT OR REPLACE INTO timers (partition, {COLUMNS}) VALUES (?, {VALUES}) RETURNING id",
        *(partition, *structs.astuple(timer)),
    )
    return DueTimer(timer.due, partition, str(row["id"]))


def cancel(db: Database, kind: str, instance: str, execution: str, seq: int) -> None:
    """The timer of a call goes, if there is one."""
    db.execute(
        "DELETE FROM timers WHERE instance = ? AND execution = ? AND seq = ? AND kind = ?",
        *(instance, execution, seq, kind),
    )
