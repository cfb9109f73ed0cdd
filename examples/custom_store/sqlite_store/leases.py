"""Peek-locks over time: keep them, lose them, take over those that ran out, take what others leave lying."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw
from msgspec.structs import replace

from redurable.core.delivery import Entry
from redurable.core.values import ABSENT
from redurable.store.port import Lost, Reclaimed, TaskDemand, TaskLease

from .cancels import is_canceled
from .database import Database, Row
from .peek_lock import READY, TASKS
from .tasks import put_back, read_tasks
from .turns import hand_back, read_ready, receive


def renew(db: Database, consumer: str, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> Lost:
    """Begin the leases anew that this consumer still holds."""
    lost = tuple(entry for entry in entries if not READY.renew(db, consumer, entry.id))
    held = {lease.id for lease in tasks if _renew_task(db, consumer, lease)}
    return Lost(
        lost,
        tuple(lease for lease in tasks if lease.id not in held),
        tuple(lease for lease in tasks if lease.id in held and is_canceled(db, lease.task)),
    )


def _renew_task(db: Database, consumer: str, lease: TaskLease) -> bool:
    """Heartbeat details stand beside the task, so they go with it."""
    held = TASKS.renew(db, consumer, lease.id)
    if held and lease.heartbeat is not ABSENT:
        db.execute("UPDATE tasks SET heartbeat = ? WHERE id = ?", bytes(lease.heartbeat), int(lease.id))
    return held


def give_back(db: Database, consumer: str, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> None:
    """Give up what was received but not begun."""
    for entry in entries:
        hand_back(db, consumer, entry)
    for lease in tasks:
        put_back(db, consumer, lease)


def reclaim_entries(
    db: Database, consumer: str, partitions: Sequence[int], count: int, lease_ms: int
) -> tuple[Entry, ...]:
    """Take over ready entries whose lease ran out."""
    return tuple(read_ready(db, READY.claim(db, consumer, lease_ms, count, partitions)))


def reclaim_tasks(
    db: Database, consumer: str, partitions: Sequence[int], demand: TaskDemand, lease_ms: int
) -> tuple[TaskLease, ...]:
    """The same for tasks; also who held them, and what that one left."""
    rows = {str(row["id"]): row for row in TASKS.claim(db, consumer, lease_ms, demand.count, partitions, demand.queues)}
    return tuple(_left_by_holder(lease, rows[lease.id]) for lease in read_tasks(db, list(rows.values()), again=True))


def _left_by_holder(lease: TaskLease, row: Row) -> TaskLease:
    details = row["heartbeat"]
    return replace(lease, holder=row["holder"], heartbeat=ABSENT if details is None else Raw(details))


def recover(db: Database, consumer: str) -> Reclaimed:
    """All that this consumer holds."""
    entries = read_ready(db, READY.own(db, consumer))
    return Reclaimed(tuple(entries), tuple(read_tasks(db, TASKS.own(db, consumer), again=True)))


def hand_over(db: Database, consumer: str, entries: Sequence[Entry], to: str) -> None:
    """Make entries of this consumer another's."""
    for entry in entries:
        if READY.renew(db, consumer, entry.id):
            db.execute("UPDATE ready SET holder = ? WHERE id = ?", to, int(entry.id))
            db.execute("INSERT OR REPLACE INTO handed VALUES (?, ?)", int(entry.id), to)


def receive_handed(db: Database, consumer: str) -> list[Entry]:
    """What was handed over to this consumer, and is still its own."""
    rows = db.execute(
        """SELECT ready.* FROM handed JOIN ready ON ready.id = handed.entry AND ready.holder = handed.consumer
           WHERE handed.consumer = ? ORDER BY ready.id""",
        consumer,
    )
    db.execute("DELETE FROM handed WHERE consumer = ?", consumer)
    return [Entry(row["partition"], str(row["id"]), row["instance"], row["deliveries"], handed=True) for row in rows]


def steal(db: Database, consumer: str, partitions: Sequence[int], count: int, waited_ms: int) -> list[Entry]:
    """Take ready entries of partitions whose oldest one has waited for `waited_ms`."""
    late = db.execute(
        "SELECT partition FROM ready WHERE holder IS NULL GROUP BY partition HAVING min(queued) <= ?",
        db.now - waited_ms,
    )
    return receive(db, consumer, [row["partition"] for row in late if row["partition"] in partitions], count)
