"""Activity work: into a queue, out to one worker by peek-lock, and its outcome into the mailbox of who asked.

Invariant: a task is acknowledged in the transaction that puts down its outcome, or its next attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from redurable.core.attempts import Sequel
from redurable.core.codec import Unreadable, decode_task, encode
from redurable.core.delivery import DeadLetter
from redurable.core.limits import GRACE_MS
from redurable.core.values import ABSENT, Task
from redurable.store.port import DueTimer, TaskDemand, TaskLease

from .database import Database, Row
from .fields import read_fields, write_fields
from .letters import push_outbox
from .mailboxes import find, finished, put_or_bury
from .peek_lock import TASKS
from .schedule import Planned, plan

BODY = b"t"


def push_task(db: Database, partition: int, task: Task) -> list[DueTimer]:
    """Put a task at the end of its queue. Returns the timer of its wait there, if that is limited."""
    row = db.one(
        "INSERT INTO tasks (partition, queue, fields, queued) VALUES (?, ?, ?, ?) RETURNING id",
        *(partition, task.options.task_queue, write_fields({BODY: encode(task)}), db.now),
    )
    limit = task.options.timeouts.schedule_to_start
    due = (task.waiting_since or db.now) + limit
    timer = Planned("start", due, task.instance, task.execution, task.seq, entry=row["id"])
    return [plan(db, partition, timer)] if limit else []


def limit_call(db: Database, partition: int, task: Task) -> list[DueTimer]:
    """The timer of a call as a whole, if it is limited."""
    timer = Planned("close", task.close_by + GRACE_MS, task.instance, task.execution, task.seq)
    return [plan(db, partition, timer)] if task.close_by else []


def take_tasks(db: Database, consumer: str, demand: TaskDemand, partitions: Iterable[int]) -> list[TaskLease]:
    """Take up to `demand.count` tasks from these partitions."""
    return read_tasks(db, TASKS.take(db, consumer, demand.count, partitions, demand.queues))


def read_tasks(db: Database, rows: Sequence[Row], again: bool = False) -> list[TaskLease]:
    """Tasks as values; what cannot be read goes to the dead letters."""
    leases: list[TaskLease] = []
    for row in rows:
        fields, entry_id = read_fields(row["fields"]), str(row["id"])
        try:
            task = decode_task(fields.get(BODY, b""))
        except Unreadable as error:
            TASKS.acknowledge(db, entry_id)
            push_outbox(db, row["partition"], DeadLetter(str(error), "", tuple(fields.items())))
        else:
            leases.append(TaskLease(row["partition"], row["queue"], entry_id, task, again, row["queued"]))
    return leases


def put_down(db: Database, task: Task, sequel: Sequel) -> DueTimer | None:
    """What follows from the end of an attempt, if the execution that asked is still there. Returns the timer of a retry
    that waits."""
    record = find(db, task.instance)
    if record is None or record["execution"] != task.execution or finished(record):
        return None
    if sequel.retry is not None:
        return _retry(db, record["partition"], sequel.retry, sequel.delay_ms)
    if sequel.message is not None:
        put_or_bury(db, record, sequel.message)
    return None


def _retry(db: Database, partition: int, task: Task, delay_ms: int) -> DueTimer | None:
    if delay_ms <= 0:
        push_task(db, partition, task)
        return None
    timer = Planned("retry", db.now + delay_ms, task.instance, task.execution, task.seq, task=encode(task))
    return plan(db, partition, timer)


def put_back(db: Database, consumer: str, lease: TaskLease) -> None:
    """Put a task that was not begun back into its queue, so that the next receiver gets it at once."""
    if TASKS.give_up(db, consumer, lease.id):
        noted = lease.task if lease.heartbeat is ABSENT else replace(lease.task, heartbeat=lease.heartbeat)
        push_task(db, lease.partition, noted)
