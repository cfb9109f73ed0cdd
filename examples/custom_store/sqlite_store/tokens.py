"""Attempts that somebody else completes: taken away by token, where they are held or lie in their queue; and where the
calls of an instance stand.

Invariant: whoever takes an attempt away puts down what follows from it in the same transaction, so it ends once.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw
from msgspec.structs import replace

from redurable.core.codec import Unreadable, decode_task
from redurable.core.completion import Completion, is_held, is_of, sequel
from redurable.core.tokens import Token
from redurable.core.values import Task
from redurable.store.inspect import Underway
from redurable.store.port import MOST_SEARCHED

from .database import Database, Row
from .fields import read_fields
from .mailboxes import find, finished
from .peek_lock import TASKS
from .schedule import cancel
from .tasks import BODY, put_down


def settle(db: Database, hub: str, said: Completion) -> bool:
    """Do what is said of an attempt; False when it is not under way."""
    token = said.token
    record = find(db, token.instance)
    if token.hub != hub or record is None or record["execution"] != token.execution or finished(record):
        return False
    waiting = _retry(db, token.instance, token.execution, token.seq)
    task = None if waiting is None else decode_task(waiting["task"])
    if task is not None and is_held(token, task):
        cancel(db, "retry", token.instance, token.execution, token.seq)
    else:
        task = _queued(db, token)
        if task is None or not said.ends:
            return task is not None  # Its function is running, and the worker watches it.
        TASKS.acknowledge(db, token.entry)
    put_down(db, task, sequel(task, said, db.now))
    return True


def underway(db: Database, instance: str, execution: str, calls: Sequence[tuple[int, str]]) -> list[Underway | None]:
    """What there is of each call."""
    return [_call(db, instance, execution, *call) for call in calls]


def _call(db: Database, instance: str, execution: str, seq: int, queue: str) -> Underway | None:
    waiting = _retry(db, instance, execution, seq)
    if waiting is not None:
        return Underway(decode_task(waiting["task"]), due=waiting["due"])
    rows = db.execute(
        "SELECT * FROM tasks WHERE queue = ? AND partition = ? ORDER BY id LIMIT ?",
        *(queue, db.partition_of(instance), MOST_SEARCHED),
    )
    for row in rows:
        task = _task(row)
        if task is not None and (task.instance, task.execution, task.seq) == (instance, execution, seq):
            return Underway(task, holder=row["holder"] or "")
    return None


def _retry(db: Database, instance: str, execution: str, seq: int) -> Row | None:
    return db.first(
        "SELECT * FROM timers WHERE instance = ? AND execution = ? AND seq = ? AND kind = 'retry'",
        *(instance, execution, seq),
    )


def _queued(db: Database, token: Token) -> Task | None:
    """The task of a token, if somebody has received it and it lies in its queue, with the newest details."""
    row = db.first("SELECT * FROM tasks WHERE CAST(id AS TEXT) = ? AND holder IS NOT NULL", token.entry)
    task = None if row is None else _task(row)
    if row is None or task is None or task.held is not None or not is_of(token, task):
        return None
    return task if row["heartbeat"] is None else replace(task, heartbeat=Raw(row["heartbeat"]))


def _task(row: Row) -> Task | None:
    try:
        return decode_task(read_fields(row["fields"]).get(BODY, b""))
    except Unreadable:
        return None
