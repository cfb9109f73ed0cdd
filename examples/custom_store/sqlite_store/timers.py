"""What happens at a time: a timer of an execution is due, a parked instance may go on, a retry goes back to its queue,
a call of an activity was not closed, or not started, in time.

Invariant: a timer leaves the table in the transaction in which it takes effect: once, whoever fires it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from redurable.core.codec import decode_task
from redurable.core.limits import NO_END, not_begun
from redurable.core.messages import ActivityFailure, Message, TimerDue
from redurable.store.port import DueTimer, Fired, Upcoming

from .database import Database, Row
from .fields import read_fields
from .mailboxes import announce_mail, find, finished, put_or_bury
from .tasks import BODY, push_task


def upcoming(db: Database, partitions: Sequence[int], horizon_ms: int, count: int) -> Upcoming:
    """Timers due within `horizon_ms`, earliest first."""
    rows = db.execute(
        """SELECT id, partition, due FROM timers WHERE partition IN (SELECT value FROM json_each(?)) AND due <= ?
           ORDER BY due, partition, id LIMIT ?""",
        *(json.dumps(list(partitions)), db.now + horizon_ms, count),
    )
    return Upcoming(db.now, tuple(_timer(row) for row in rows))


def fire(db: Database, timers: Sequence[DueTimer]) -> Fired:
    """Let timers take effect that still exist and are due by the hub's clock, whatever the caller believes."""
    fired = 0
    early: list[DueTimer] = []
    for timer in timers:
        row = db.first("SELECT * FROM timers WHERE id = ?", int(timer.member))
        if row is None:
            continue
        if row["due"] > db.now:
            early.append(_timer(row))
            continue
        db.execute("DELETE FROM timers WHERE id = ?", row["id"])
        _take_effect(db, row)
        fired += 1
    return Fired(db.now, fired, tuple(early))


def _timer(row: Row) -> DueTimer:
    return DueTimer(row["due"], row["partition"], str(row["id"]))


def _take_effect(db: Database, timer: Row) -> None:
    if timer["kind"] == "retry":
        push_task(db, timer["partition"], decode_task(timer["task"]))
        return
    record, message = find(db, timer["instance"]), _message(db, timer)
    if record is None:
        return
    if timer["kind"] == "wait":
        db.execute(
            "UPDATE instances SET parked_until = NULL WHERE instance = ? AND parked_until <= ?",
            *(timer["instance"], db.now),
        )
        announce_mail(db, timer["instance"])
    elif message is not None and record["execution"] == timer["execution"] and not finished(record):
        put_or_bury(db, record, message)


def _message(db: Database, timer: Row) -> Message | None:
    """What the execution is told, if anything."""
    match timer["kind"]:
        case "timer":
            return TimerDue(execution=timer["execution"], seq=timer["seq"], due=timer["due"])
        case "close":
            return ActivityFailure(execution=timer["execution"], seq=timer["seq"], failure=NO_END)
        case "start":
            # A task that somebody has received has begun, or its receiver sees that it is too late.
            waits = db.first("SELECT fields FROM tasks WHERE id = ? AND holder IS NULL", timer["entry"])
            return None if waits is None else not_begun(decode_task(read_fields(waits["fields"])[BODY]))
        case _:
            return None
