"""What keeps a hub healthy: bells that were lost, workers that come and go, instances that are not needed any more."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import json

from redurable.core.values import RuntimeStatus
from redurable.store.membership import Membership, Skills
from redurable.store.purging import Purged
from redurable.store.queries import Standing
from redurable.store.redriving import Redriven

from .database import Database
from .mailboxes import announce_mail, erase, find, finished, forget_expired, is_over

OPEN = "status IN ('Pending', 'Running', 'Suspended')"
SILENT = """WHERE seen <= ? AND NOT EXISTS (SELECT 1 FROM ready WHERE holder = consumer)
            AND NOT EXISTS (SELECT 1 FROM tasks WHERE holder = consumer)"""


def sweep(db: Database, partition: int, cursor: str, count: int) -> tuple[str, int]:
    """Ring for instances with mail whose bell is gone: look at up to `count` instances behind `cursor`."""
    rows = db.execute(
        f"SELECT instance FROM instances WHERE partition = ? AND {OPEN} AND instance > ? ORDER BY instance LIMIT ?",
        *(partition, cursor, count),
    )
    announced = sum(_ring(db, row["instance"]) for row in rows)
    return rows[-1]["instance"] if len(rows) == count else "", announced


def _ring(db: Database, instance: str) -> int:
    """Ring for an instance if it has mail that nobody was told of; return whether it had."""
    db.execute(
        """UPDATE instances SET announced = NULL WHERE instance = ?
           AND announced IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ready WHERE id = announced)""",
        instance,
    )
    return announce_mail(db, instance)


def heartbeat(db: Database, consumer: str, ttl_ms: int, skills: Skills) -> Membership:
    """Say that `consumer` lives, and what it can do."""
    db.execute("INSERT OR REPLACE INTO workers VALUES (?, ?, ?)", consumer, db.now, json.encode(skills).decode())
    return members(db, ttl_ms)


def members(db: Database, ttl_ms: int) -> Membership:
    """The workers that were heard of within `ttl_ms`."""
    alive = db.execute("SELECT * FROM workers WHERE seen > ? ORDER BY consumer", db.now - ttl_ms)
    return Membership(db.now, {row["consumer"]: json.decode(row["skills"], type=Skills) for row in alive})


def leave(db: Database, consumer: str) -> None:
    """Take `consumer` out of the membership. What it holds stays held until its lease runs out."""
    db.execute("DELETE FROM workers WHERE consumer = ?", consumer)
    db.execute("DELETE FROM handed WHERE consumer = ?", consumer)


def reap(db: Database, idle_ms: int) -> int:
    """Forget workers that hold nothing and were not seen for `idle_ms`, and events that nobody came to read."""
    forget_expired(db)
    db.execute("DELETE FROM handed WHERE entry NOT IN (SELECT id FROM ready)")
    return db.count(f"DELETE FROM workers {SILENT}", db.now - idle_ms)


def purge(db: Database, instance: str, execution: str = "") -> Purged:
    """Delete a finished instance."""
    record = find(db, instance)
    if record is None or execution not in ("", record["execution"]):
        return "missing"
    if not finished(record):
        return "running"
    if not is_over(db, record):
        return "awaited"
    erase(db, instance)
    return "purged"


def expired(
    db: Database, partition: int, ages: Mapping[RuntimeStatus, int], count: int, skip: int = 0
) -> list[Standing]:
    """Instances that ended too long ago, those of a status oldest first, but for the first `skip`."""
    found: list[Standing] = []
    for status, age in ages.items():
        rows = db.execute(
            """SELECT instance, execution FROM instances WHERE partition = ? AND status = ? AND ended <= ?
               AND parent IS NULL ORDER BY ended, instance LIMIT ?""",
            *(partition, status, db.now - age, skip + count - len(found)),
        )
        found += [Standing(row["instance"], row["execution"], status) for row in rows]
    return found[skip:]


def disown(db: Database, instance: str, parent: str) -> None:
    """A sub-orchestration is on its own."""
    db.execute("UPDATE instances SET parent = NULL WHERE instance = ? AND parent = ?", instance, parent)


def mend(db: Database, partition: int) -> int:
    """Disown those whose parents are gone, and ring for finished ones that a parent has asked; all else SQLite keeps
    right by itself."""
    disowned = db.count(
        """UPDATE instances SET parent = NULL WHERE partition = ? AND parent IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM instances AS parents WHERE parents.instance = instances.parent)""",
        partition,
    )
    asked = db.execute(
        f"""SELECT instance FROM instances WHERE partition = ? AND NOT {OPEN}
            AND EXISTS (SELECT 1 FROM mailbox WHERE mailbox.instance = instances.instance)""",
        partition,
    )
    return disowned + sum(_ring(db, row["instance"]) for row in asked)


def prune(db: Database, instance: str, keep: int) -> int:
    """Forget all past executions but the first and the last `keep`; the current one is no past one."""
    rows = db.execute("SELECT id, execution FROM executions WHERE instance = ? ORDER BY id", instance)
    old = rows[1 : max(len(rows) - 1 - keep, 1)]
    for row in old:
        db.execute("DELETE FROM executions WHERE id = ?", row["id"])
        db.execute("DELETE FROM events WHERE instance = ? AND execution = ?", instance, row["execution"])
    return len(old)


def redrive(db: Database, instance: str, head: str) -> Redriven:
    """End the wait of a parked instance, whoever takes a turn of it at this moment."""
    record = find(db, instance)
    if record is None:
        return Redriven.MISSING
    if finished(record):
        return Redriven.FINISHED
    if record["quarantined"] is None:
        return Redriven.NOT_QUARANTINED
    db.execute(
        "UPDATE instances SET head = ?, parked_until = NULL, parks = 1, held = 0 WHERE instance = ?", head, instance
    )
    announce_mail(db, instance)
    return Redriven.REDRIVEN
