"""The read side of a hub."""

from __future__ import annotations

from msgspec import Raw, json

from redurable.core.codec import Unreadable, decode_event, decode_start
from redurable.core.delivery import Quarantine
from redurable.core.events import Event, ExecutionStarted
from redurable.core.values import ABSENT, RuntimeStatus
from redurable.errors import StoreRefused
from redurable.store.inspect import Announcement, Change, Snapshot

from .database import Database, Row
from .mailboxes import find
from .turns import read_events


def get(db: Database, instance: str) -> Snapshot | None:
    """The instance as it is now."""
    record = find(db, instance)
    return None if record is None else _snapshot(db, instance, record)


def _snapshot(db: Database, instance: str, record: Row) -> Snapshot:
    start = None if record["start"] is None else decode_start(record["start"])
    first, last = _event(db, record, "ASC"), _event(db, record, "DESC")
    origin = first if isinstance(first, ExecutionStarted) else start
    custom, mark = record["custom_status"], record["quarantined"]
    return Snapshot(
        instance=instance,
        name=record["name"],
        status=RuntimeStatus(record["status"]),
        execution=record["execution"],
        number=record["number"],
        created_at=record["created"],
        updated_at=record["updated"],
        parent=origin.parent if origin else None,
        tags=origin.tags if origin else {},
        memo=origin.memo if origin else ABSENT,
        start=start,
        first=first,
        last=last,
        length=_count(db, "events WHERE instance = ? AND execution = ?", instance, record["execution"]),
        custom_status=None if custom is None else Raw(custom),
        unread=_count(db, "mailbox WHERE instance = ?", instance),
        unread_events=json.decode(record["unread"], type=dict[str, int]),
        quarantined=None if mark is None else json.decode(mark, type=Quarantine),
        parks=record["parks"],
        parked_until=0 if record["held"] else record["parked_until"] or 0,
        held=bool(record["held"]),
    )


def _count(db: Database, rows: str, *values: str) -> int:
    return db.one(f"SELECT count(*) AS n FROM {rows}", *values)["n"]


def _event(db: Database, record: Row, order: str) -> Event | None:
    """The first or the last event. An unreadable history must not hide the instance that it belongs to."""
    row = db.first(
        f"SELECT body FROM events WHERE instance = ? AND execution = ? ORDER BY position {order} LIMIT 1",
        *(record["instance"], record["execution"]),
    )
    try:
        return None if row is None else decode_event(row["body"])
    except Unreadable:
        return None


def history(db: Database, instance: str, execution: str, start: int, count: int) -> list[Event]:
    """A page of the history of one execution (empty: the current one)."""
    record = find(db, instance)
    chosen = execution or (record["execution"] if record is not None else "")
    try:
        return list(read_events(db, instance, chosen, start, count))
    except Unreadable as error:
        raise StoreRefused(f"the history of instance {instance!r} cannot be read: {error}") from None


def executions(db: Database, instance: str) -> list[str]:
    """All executions, oldest first."""
    rows = db.execute("SELECT execution FROM executions WHERE instance = ? ORDER BY id", instance)
    return [row["execution"] for row in rows]


def feed_position(db: Database, partition: int) -> str:
    """The id of the newest entry."""
    row = db.one("SELECT coalesce(max(id), 0) AS id FROM feed WHERE partition = ?", partition)
    return str(row["id"])


def feed(db: Database, after: dict[int, str]) -> list[tuple[int, Change]]:
    """Entries behind these ids."""
    changes: list[tuple[int, Change]] = []
    for partition, position in after.items():
        rows = db.execute("SELECT * FROM feed WHERE partition = ? AND id > ? ORDER BY id", partition, int(position))
        for row in rows:
            change = Change(str(row["id"]), row["instance"], row["execution"], RuntimeStatus(row["status"]))
            changes.append((partition, change))
    return changes


def announcement(db: Database, instance: str) -> Announcement | None:
    """Who is told of the instance's mail."""
    rows = db.execute("SELECT r.* FROM ready r JOIN instances i ON i.announced = r.id WHERE i.instance = ?", instance)
    if not rows:
        return None
    (row,) = rows
    idle = 0 if row["holder"] is None else db.now - row["leased"]
    return Announcement(row["holder"] or "", idle, row["deliveries"])
