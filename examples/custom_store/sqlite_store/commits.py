"""The way of a turn, second half: the commit.

Fence: a commit is a compare-and-set of the instance's unique `head`. It acknowledges its ready entry only behind the
fence, so whoever is fenced still holds it and can look again.
"""

from __future__ import annotations

import sqlite3

from msgspec import json

from redurable.core.codec import encode
from redurable.core.delivery import Kept, Outcome, Park, Quarantine, Receipt, TurnCommit
from redurable.core.messages import StartExecution
from redurable.core.values import RuntimeStatus
from redurable.store.port import DueTimer

from .cancels import tell_canceled
from .database import Database, Row
from .letters import push_outbox
from .mailboxes import find, park, ring_anew, ring_control
from .peek_lock import READY
from .schedule import Planned, cancel, plan
from .tasks import limit_call, push_task

FEED_LENGTH = 1000
NEVER = 2**53
"""Until then waits what waits to be redriven."""


def commit(db: Database, turn: TurnCommit) -> tuple[Receipt, list[DueTimer]]:
    """Make one turn true, or nothing of it; the others of its batch do not depend on it."""
    try:
        with db.savepoint():
            return _commit(db, turn)
    except sqlite3.IntegrityError as error:
        return Receipt(Outcome.FAILED, str(error)), []


def _commit(db: Database, turn: TurnCommit) -> tuple[Receipt, list[DueTimer]]:
    record = find(db, turn.entry.instance)
    if record is not None and record["head"] not in (turn.head, turn.expected):
        return Receipt(Outcome.FENCED), []
    if turn.is_ahead and not _is_quiet(db, record, turn):
        return Receipt(Outcome.FENCED), []
    if not turn.is_ahead:
        READY.acknowledge(db, turn.entry.id)
    if record is None:  # Purged meanwhile: nothing can come of this turn, and nobody else need hear of it.
        return Receipt(Outcome.ACCEPTED), []
    if record["head"] == turn.head:
        return Receipt(Outcome.ALREADY_APPLIED), []
    if turn.park is not None:
        return Receipt(Outcome.ACCEPTED), _park(db, record, turn, turn.park)
    if turn.is_release:
        _release(db, record, turn)
        return Receipt(Outcome.ACCEPTED), []
    return Receipt(Outcome.ACCEPTED), _write(db, record, turn)


def _is_quiet(db: Database, record: Row | None, turn: TurnCommit) -> bool:
    """Whether nothing came before a turn that was decided ahead, unless it is applied already."""
    if record is None or record["head"] == turn.head:
        return record is not None
    mail = db.first("SELECT 1 FROM mailbox WHERE instance = ?", turn.entry.instance)
    return record["announced"] is None and record["parked_until"] is None and mail is None


def _release(db: Database, record: Row, turn: TurnCommit) -> None:
    if record["announced"] not in (None, int(turn.entry.id)):
        return  # Another entry rings for the instance: this one meant nothing, and its holder decides nothing.
    db.execute("UPDATE instances SET head = ? WHERE instance = ?", turn.head, turn.entry.instance)
    ring_anew(db, turn.entry.instance, turn.entry.id)
    ring_control(db, record, turn.heard)


def _park(db: Database, record: Row, turn: TurnCommit, why: Park) -> list[DueTimer]:
    before = record["quarantined"]
    since = db.now if before is None else json.decode(before, type=Quarantine).since
    mark = Quarantine(since, why.reason, why.detail, why.difference)
    # Whatever rings now, the next one who may be heard must ring anew: `announced` is empty while it is parked.
    db.execute(
        """UPDATE instances SET head = ?, updated = ?, announced = NULL, parks = parks + 1, held = ?,
           parked_until = ?, quarantined = ? WHERE instance = ?""",
        *(turn.head, db.now, why.retry_ms is None, NEVER, json.encode(mark).decode(), turn.entry.instance),
    )
    timers = [] if why.retry_ms is None else [park(db, turn.entry.instance, db.now + why.retry_ms)]
    ring_control(db, record, turn.heard)
    return timers


def _write(db: Database, record: Row, turn: TurnCommit) -> list[DueTimer]:
    instance = turn.entry.instance
    db.execute(
        """UPDATE instances SET head = ?, updated = ?, parked_until = NULL, parks = 0, held = 0, quarantined = NULL,
           control = '', unread = coalesce(?, unread), custom_status = coalesce(?, custom_status) WHERE instance = ?""",
        *(turn.head, db.now, None if turn.unread is None else json.encode(turn.unread).decode()),
        *(None if turn.custom_status is None else bytes(turn.custom_status), instance),
    )
    _consume(db, turn)
    _append_events(db, record, turn)
    timers = _send_out(db, record, turn)
    if turn.next is not None:
        _begin_next(db, record, turn.next, turn.kept)
    elif turn.status is not None:
        db.execute("UPDATE instances SET status = ? WHERE instance = ?", turn.status, instance)
        if turn.status.finished:
            db.execute("UPDATE instances SET ended = ? WHERE instance = ?", db.now, instance)
            _feed(db, record, turn.status)
    if not turn.is_ahead:
        ring_anew(db, instance, turn.entry.id)
    return timers


def _consume(db: Database, turn: TurnCommit) -> None:
    """Delete what the turn read: a prefix, never so many rows, because others may have deleted some."""
    instance = turn.entry.instance
    if turn.consumed:
        last = int(turn.consumed)
        db.execute("DELETE FROM mailbox WHERE instance = ? AND id <= ?", instance, last)
    if turn.start_consumed:
        db.execute("UPDATE instances SET start = NULL WHERE instance = ?", instance)


def _append_events(db: Database, record: Row, turn: TurnCommit) -> None:
    instance, execution = record["instance"], record["execution"]
    (last,) = db.one("SELECT max(position) FROM events WHERE instance = ? AND execution = ?", instance, execution)
    positions = enumerate(turn.events, start=0 if last is None else last + 1)
    rows = [(instance, execution, position, event.commit, encode(event)) for position, event in positions]
    db.write_all("INSERT INTO events (instance, execution, position, head, body) VALUES (?, ?, ?, ?, ?)", rows)


def _send_out(db: Database, record: Row, turn: TurnCommit) -> list[DueTimer]:
    """Tasks, timers, and what leaves through the outbox."""
    partition, instance = record["partition"], record["instance"]
    timers: list[DueTimer] = []
    for task in turn.tasks:
        timers += push_task(db, partition, task)
        timers += limit_call(db, partition, task)
    for item in (*turn.outbox, *turn.dead):
        push_outbox(db, partition, item)
    for timer in turn.timers:
        timers.append(plan(db, partition, Planned("timer", timer.due, instance, turn.execution, timer.seq)))
    for seq in turn.canceled_timers:
        cancel(db, "timer", instance, turn.execution, seq)
    for seq in turn.closed_calls:
        for kind in ("close", "start", "retry"):
            cancel(db, kind, instance, turn.execution, seq)
    if turn.canceled_calls:
        tell_canceled(db, partition, instance, turn.execution, turn.canceled_calls)
    return timers


def _begin_next(db: Database, record: Row, start: StartExecution, kept: Kept | None) -> None:
    """The history of the ended execution stays, the next one finds its start message. It has a copy of the beginning of
    that history when the instance was rewound or reset."""
    _feed(db, record, RuntimeStatus.CONTINUED_AS_NEW)
    db.execute("INSERT INTO executions (instance, execution) VALUES (?, ?)", record["instance"], start.execution)
    db.execute(
        "UPDATE instances SET execution = ?, number = ?, name = ?, start = ?, status = ? WHERE instance = ?",
        *(start.execution, start.number, start.name, encode(start), RuntimeStatus.RUNNING, record["instance"]),
    )
    if kept is not None:
        db.execute(
            """INSERT INTO events (instance, execution, position, head, body)
               SELECT instance, ?, position, head, iif(position = 0, ?, body) FROM events
               WHERE instance = ? AND execution = ? AND position < ?""",
            *(start.execution, encode(kept.first), record["instance"], record["execution"], kept.count),
        )


def _feed(db: Database, record: Row, status: RuntimeStatus) -> None:
    db.execute(
        "INSERT INTO feed (partition, instance, execution, status) VALUES (?, ?, ?, ?)",
        *(record["partition"], record["instance"], record["execution"], status),
    )
    db.execute(
        """DELETE FROM feed WHERE partition = ? AND id <=
           (SELECT id FROM feed WHERE partition = ? ORDER BY id DESC LIMIT 1 OFFSET ?)""",
        *(record["partition"], record["partition"], FEED_LENGTH),
    )
