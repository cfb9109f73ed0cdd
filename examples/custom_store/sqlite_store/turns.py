"""The way of a turn, first half: receive a ready entry, check its instance out. `commits` is the other half."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import json, structs

from redurable.core.codec import Unreadable, decode_event, decode_start
from redurable.core.delivery import Delivery, Entry, Position
from redurable.core.events import Event
from redurable.core.foreign import read_mail
from redurable.core.messages import Mail, StartExecution
from redurable.core.values import RuntimeStatus

from .database import Database, Row
from .fields import read_fields
from .mailboxes import announce, find
from .peek_lock import READY

MAILS = 100
"""The most messages of one turn."""


def receive(db: Database, consumer: str, partitions: Sequence[int], count: int) -> list[Entry]:
    """Take up to `count` ready entries."""
    return read_ready(db, READY.take(db, consumer, count, partitions))


def read_ready(db: Database, rows: Sequence[Row]) -> list[Entry]:
    """Ready entries as values; what a foreign client wrote there rings for nobody and is ended here."""
    for row in rows:
        if row["instance"] is None:
            READY.acknowledge(db, str(row["id"]))
    named = [row for row in rows if row["instance"] is not None]
    return [Entry(row["partition"], str(row["id"]), row["instance"], row["deliveries"] + 1) for row in named]


def checkout(db: Database, entry: Entry, known: Position | None) -> Delivery:
    """What a turn needs. Changes nothing."""
    record = find(db, entry.instance)
    if record is None:
        return Delivery(entry, db.now)
    delivery = Delivery(
        entry,
        db.now,
        head=record["head"],
        status=RuntimeStatus(record["status"]),
        name=record["name"],
        execution=record["execution"],
        announced=str(record["announced"] or ""),
        parks=record["parks"],
        parked_until=record["parked_until"] or 0,
        unread=json.decode(record["unread"], type=dict[str, int]),
        heard=record["control"],
        held=bool(record["held"]),
    )
    try:
        base = known.length if known is not None and _is_true(db, record, known) else 0
        events = read_events(db, entry.instance, record["execution"], base)
        return structs.replace(
            delivery,
            start=_read_start(record),
            mails=(mails := _read_mails(db, entry.instance)),
            control=_read_control(db, record, mails),
            base=base,
            events=events,
        )
    except Unreadable as error:
        return structs.replace(delivery, unreadable=str(error))


def _is_true(db: Database, record: Row, known: Position) -> bool:
    """Is the caller's position one of this history? A length alone proves nothing after a purge or a restored backup,
    so the event at the position must carry the commit that the caller saw there."""
    if known.execution != record["execution"] or not known.commit:
        return False
    found = db.first(
        "SELECT 1 FROM events WHERE instance = ? AND execution = ? AND position = ? AND head = ?",
        *(record["instance"], known.execution, known.length - 1, known.commit),
    )
    return found is not None


def read_events(db: Database, instance: str, execution: str, base: int, count: int = -1) -> tuple[Event, ...]:
    """A page of a history. Raises `Unreadable`."""
    rows = db.execute(
        "SELECT body FROM events WHERE instance = ? AND execution = ? AND position >= ? ORDER BY position LIMIT ?",
        *(instance, execution, base, count),
    )
    return tuple(decode_event(row["body"]) for row in rows)


def _read_start(record: Row) -> StartExecution | None:
    return None if record["start"] is None else decode_start(record["start"])


def _read_mails(db: Database, instance: str) -> tuple[Mail, ...]:
    rows = db.execute("SELECT id, fields FROM mailbox WHERE instance = ? ORDER BY id LIMIT ?", instance, MAILS)
    return tuple(Mail(str(row["id"]), read_mail(read_fields(row["fields"]))) for row in rows)


def _read_control(db: Database, record: Row, mails: Sequence[Mail]) -> Mail | None:
    """The newest control message, when it lies behind the page of mails: it needs no turn of those before it."""
    if not record["control"] or len(mails) < MAILS or int(record["control"]) <= int(mails[-1].id):
        return None
    row = db.first(
        "SELECT id, fields FROM mailbox WHERE instance = ? AND id = ?", record["instance"], int(record["control"])
    )
    return None if row is None else Mail(str(row["id"]), read_mail(read_fields(row["fields"])))


def hand_back(db: Database, consumer: str, entry: Entry) -> None:
    """Give a ready entry up, so that the next receiver gets its instance at once."""
    record = find(db, entry.instance)
    if READY.give_up(db, consumer, entry.id) and record is not None and record["announced"] == int(entry.id):
        db.execute("UPDATE instances SET announced = NULL WHERE instance = ?", entry.instance)
        announce(db, entry.instance)
