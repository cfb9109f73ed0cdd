"""Instances and their mail, and the two rules that every verb shares: how mail is put down, and how it is announced.

Invariant: `announced` is the id of the ready entry that rings for an instance. Only an instance without one gets a new
one, and only who holds that very entry takes it away; so mail is never left without a bell, and never rings twice.
"""

from __future__ import annotations

import sqlite3

from redurable.core.codec import encode
from redurable.core.delivery import DeadLetter
from redurable.core.foreign import INTERNAL
from redurable.core.messages import Control, Message, Rewind, StartExecution
from redurable.core.values import RuntimeStatus
from redurable.store.port import DueTimer

from .database import Database, Row
from .fields import Fields, write_fields
from .letters import push_outbox
from .schedule import Planned, plan

HAS_MAIL = """(start IS NOT NULL OR EXISTS (SELECT 1 FROM mailbox WHERE mailbox.instance = instances.instance))"""
UNUSABLE = "mailbox is unusable: "


class MailboxExhausted(Exception):
    """A foreign client used up the ids of this mailbox: it takes no more entries until it has been read."""


def find(db: Database, instance: str) -> Row | None:
    """The row of an instance."""
    return db.first("SELECT * FROM instances WHERE instance = ?", instance)


def finished(record: Row) -> bool:
    """True when an instance takes no more messages."""
    return RuntimeStatus(record["status"]).finished


def is_awaited(db: Database, record: Row) -> bool:
    """True while a parent's wish that the instance go on is unread."""
    mail = "SELECT 1 FROM mailbox WHERE instance = ? AND id = ?"
    return db.first(mail, record["instance"], record["awaited"]) is not None


def is_over(db: Database, record: Row) -> bool:
    """True when the instance has finished and may go: nobody waits for it, or it cannot hear who does."""
    return finished(record) and (record["quarantined"] is not None or not is_awaited(db, record))


def has_begun(db: Database, record: Row, execution: str) -> bool:
    """True when this execution began the instance, or is its current one: then asking for it is a repetition."""
    first = db.one("SELECT execution FROM executions WHERE instance = ? ORDER BY id LIMIT 1", record["instance"])
    return execution in (record["execution"], first["execution"])


def put(db: Database, record: Row, message: Message) -> None:
    """Append a message and announce its instance. A parked one is rung only for what needs no user code."""
    entry_id = append(db, record["instance"], {INTERNAL: encode(message)})
    if isinstance(message, Control):
        db.execute("UPDATE instances SET control = ? WHERE instance = ?", entry_id, record["instance"])
    elif isinstance(message, Rewind):
        db.execute("UPDATE instances SET awaited = ? WHERE instance = ?", int(entry_id), record["instance"])
    if record["parked_until"] is None or isinstance(message, Control):
        announce(db, record["instance"])


def append(db: Database, instance: str, fields: Fields, expires: int | None = None, event_id: str | None = None) -> str:
    """Append an entry and tell nobody; returns its id. Raises `MailboxExhausted`.

    Ids begin with the time, so an id does not come back when a foreign client has emptied the mailbox.
    """
    try:
        row = db.one(
            """INSERT INTO mailbox (instance, id, fields, expires, event_id)
               SELECT ?, max(?, coalesce(max(id), 0) + 1), ?, ?, ? FROM mailbox WHERE instance = ? RETURNING id""",
            *(instance, db.now, write_fields(fields), expires, event_id, instance),
        )
    except sqlite3.IntegrityError as error:
        raise MailboxExhausted(f"its last id is the greatest that there is ({error})") from None
    return str(row["id"])


def put_or_bury(db: Database, record: Row, message: Message) -> None:
    """Put an outcome down where an instance reads it; if its mailbox is unusable, it becomes a dead letter."""
    instance = record["instance"]
    try:
        put(db, record, message)
    except MailboxExhausted as error:
        letter = DeadLetter(f"{UNUSABLE}{error}", instance, ((INTERNAL, encode(message)),))
        push_outbox(db, record["partition"], letter)


def announce(db: Database, instance: str, when: str = "TRUE") -> bool:
    """Ring for an instance, unless a bell rings for it already. True when it did."""
    rung = db.first(
        f"""INSERT INTO ready (partition, instance, queued)
            SELECT partition, instance, ? FROM instances WHERE instance = ? AND announced IS NULL AND {when}
            RETURNING id""",
        *(db.now, instance),
    )
    if rung is None:
        return False
    db.execute("UPDATE instances SET announced = ? WHERE instance = ?", rung["id"], instance)
    return True


def announce_mail(db: Database, instance: str) -> bool:
    """Ring for an instance that has mail and is not parked."""
    return announce(db, instance, f"parked_until IS NULL AND {HAS_MAIL}")


def ring_anew(db: Database, instance: str, entry_id: str) -> None:
    """A ready entry was ended. If it rang for the instance, what came in meanwhile gets a new bell."""
    db.execute("UPDATE instances SET announced = NULL WHERE instance = ? AND announced = ?", instance, int(entry_id))
    announce_mail(db, instance)


def ring_control(db: Database, record: Row, heard: str | None) -> None:
    """A commit left mail. A control message that came while its turn ran is not for the end of a wait."""
    if heard is not None and record["control"] not in ("", heard):
        announce(db, record["instance"])


def create(db: Database, instance: str, start: StartExecution, delay_ms: int = 0) -> None:
    """A new instance with its start message; events that waited for it are its mail now."""
    # The first head is the execution's id: a turn of an instance that had this id before must not fit.
    db.execute(
        """INSERT INTO instances
           (instance, partition, name, status, execution, number, head, start, created, updated, parent)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        *(instance, db.partition_of(instance), start.name, RuntimeStatus.PENDING, start.execution, start.number),
        *(start.execution, encode(start), db.now, db.now, start.parent.instance if start.parent else None),
    )
    db.write_all(
        "INSERT INTO tags (instance, key, value) VALUES (?, ?, ?)",
        [(instance, key, value) for key, value in start.tags.items()],
    )
    db.execute("INSERT INTO executions (instance, execution) VALUES (?, ?)", instance, start.execution)
    forget_expired(db)
    db.execute("UPDATE mailbox SET expires = NULL, event_id = NULL WHERE instance = ?", instance)
    if delay_ms > 0:
        park(db, instance, db.now + delay_ms)
    else:
        announce(db, instance)


def forget_expired(db: Database) -> None:
    """Delete events that waited too long for an instance that did not come."""
    db.execute("DELETE FROM mailbox WHERE expires <= ?", db.now)


def park(db: Database, instance: str, until: int) -> DueTimer:
    """Let mail lie until then; returns the timer that ends it."""
    db.execute("UPDATE instances SET parked_until = ? WHERE instance = ?", until, instance)
    return plan(db, db.partition_of(instance), Planned("wait", until, instance))


def erase(db: Database, instance: str) -> None:
    """Delete all that is stored of an instance."""
    for table in ("instances", "executions", "events", "mailbox", "tags"):
        db.execute(f"DELETE FROM {table} WHERE instance = ?", instance)
