"""How much work lies where in a hub."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import json

from redurable.store.depths import MOST_QUEUES, Depth, Depths
from redurable.store.membership import Skills

from .database import Database
from .upkeep import OPEN

LOCK = """SELECT count(*) AS length, count(holder) AS pending, min(iif(holder IS NULL, queued, NULL)) AS waiting,
                 min(iif(holder IS NULL, NULL, queued)) AS held FROM"""


def depths(db: Database, queues: Sequence[str]) -> Depths:
    """In these task queues, and in all that workers say they serve."""
    workers = [json.decode(row["skills"], type=Skills) for row in db.execute("SELECT skills FROM workers")]
    return Depths(
        now=db.now,
        ready=_depth(db, "ready", sum("orchestrations" in skills.roles for skills in workers)),
        queues={
            name: _depth(db, "tasks WHERE queue = ?", sum(name in skills.task_queues for skills in workers), name)
            for name in _queues(db, queues, workers)
        },
        intake=_count(db, "intake"),
        outbox=_count(db, "outbox"),
        answers=_count(db, "answers"),
        dead=_count(db, "dead_letters"),
        timers=_count(db, "timers"),
        due=_count(db, f"timers WHERE due <= {db.now:d}"),
        open=_count(db, f"instances WHERE {OPEN}"),
    )


def _queues(db: Database, asked: Iterable[str], workers: Iterable[Skills]) -> list[str]:
    told = {name for skills in workers for name in skills.task_queues}
    told |= {row["queue"] for row in db.execute("SELECT queue FROM served")}
    return sorted(dict.fromkeys([*asked, *sorted(told)][:MOST_QUEUES]))


def _depth(db: Database, rows: str, consumers: int, *values: str) -> Depth:
    row = db.one(f"{LOCK} {rows}", *values)
    waiting, held = _age(db, row["waiting"]), _age(db, row["held"])
    return Depth(row["length"], row["length"] - row["pending"], row["pending"], consumers, waiting, held)


def _age(db: Database, since: int | None) -> int:
    """At least 1 for whatever there is, so that 0 says that there is nothing."""
    return max(1, db.now - since) if since is not None else 0


def _count(db: Database, rows: str) -> int:
    return db.one(f"SELECT count(*) AS n FROM {rows}")["n"]
