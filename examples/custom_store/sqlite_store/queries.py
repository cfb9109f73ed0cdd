"""Questions about many instances: what SQL is made for."""

from __future__ import annotations

from collections.abc import Sequence

from redurable.core.values import RuntimeStatus
from redurable.store.queries import LAST, Counts, Found, Place, Query, Standing

from .database import Database
from .inspect import get
from .mailboxes import find, is_awaited

BEYOND = Place(LAST + 1, "")


def query(db: Database, asked: Query, limit: int, after: Place | None) -> Found:
    """A page, the newest first."""
    where, values = _conditions(asked, after or BEYOND)
    rows = db.execute(
        f"SELECT instance FROM instances WHERE {where} ORDER BY created DESC, instance DESC LIMIT ?", *values, limit + 1
    )
    found = [get(db, row["instance"]) for row in rows[:limit]]
    page = tuple(snapshot for snapshot in found if snapshot is not None)
    return Found(page, Place(page[-1].created_at, page[-1].instance) if len(rows) > limit else None)


def _conditions(asked: Query, behind: Place) -> tuple[str, list[str | int]]:
    where = ["(created, instance) < (?, ?)", "created BETWEEN ? AND ?", "updated BETWEEN ? AND ?"]
    values: list[str | int] = [behind.created, behind.instance]
    values += [asked.created_from, asked.created_to, asked.updated_from, asked.updated_to]
    for column, wanted in (("status", asked.statuses), ("name", asked.names)):
        if wanted:
            where.append(f"{column} IN ({', '.join('?' * len(wanted))})")
            values += wanted
    if asked.prefix:
        where.append("substr(instance, 1, length(?)) = ?")
        values += [asked.prefix, asked.prefix]
    for tag in asked.tags:
        where.append("instance IN (SELECT instance FROM tags WHERE key = ? AND value = ?)")
        values += tag
    if asked.quarantined:
        where.append("quarantined IS NOT NULL")
    return " AND ".join(where), values


def counts(db: Database) -> Counts:
    """How many there are. This one looks at all of an index: who has millions keeps counts beside it, by triggers."""
    rows = db.execute("SELECT name, status, count(*) AS n FROM instances GROUP BY name, status")
    held = db.one("SELECT count(*) AS n FROM instances WHERE quarantined IS NOT NULL")
    return Counts({(row["name"], RuntimeStatus(row["status"])): row["n"] for row in rows}, held["n"])


def children(db: Database, parent: str) -> list[Standing]:
    """The sub-orchestrations of an instance, by their ids."""
    rows = db.execute("SELECT instance, execution, status FROM instances WHERE parent = ? ORDER BY instance", parent)
    return [Standing(row["instance"], row["execution"], RuntimeStatus(row["status"])) for row in rows]


def awaited(db: Database, instances: Sequence[str]) -> list[str]:
    """Those that are asked to go on, and have not read that yet."""
    records = [find(db, instance) for instance in instances]
    return [record["instance"] for record in records if record is not None and is_awaited(db, record)]
