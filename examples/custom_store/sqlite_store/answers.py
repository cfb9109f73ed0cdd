"""What other programs answer about tasks that they hold, by the same peek-lock as everybody else."""

from __future__ import annotations

import json
from collections.abc import Sequence

from msgspec import Raw
from msgspec.structs import replace

from redurable.core.answers import Answer, AnswerKind
from redurable.core.delivery import DeadLetter
from redurable.core.foreign import read_answer
from redurable.core.messages import Malformed
from redurable.core.values import ABSENT
from redurable.store.hearing import Answered, Heard
from redurable.store.port import TaskLease

from .database import Database
from .fields import read_fields
from .letters import push_outbox
from .peek_lock import TASKS
from .tasks import read_tasks

_MOST_DIGITS = 18
_AMONG = "FROM answers WHERE partition IN (SELECT value FROM json_each(?))"


def waiting(db: Database, partitions: Sequence[int]) -> bool:
    """Whether there is an answer in these partitions."""
    return bool(db.execute(f"SELECT 1 {_AMONG} LIMIT 1", json.dumps(list(partitions))))


def hear(db: Database, partitions: Sequence[int], count: int) -> Heard:
    """Read up to `count` answers of these partitions; signs of life and what cannot be read go at once."""
    answers: list[Answered] = []
    beats = dead = 0
    for row in db.execute(f"SELECT * {_AMONG} ORDER BY id LIMIT ?", json.dumps(list(partitions)), count):
        said = read_answer(read_fields(row["fields"]))
        if isinstance(said, Malformed):
            push_outbox(db, row["partition"], DeadLetter(said.reason, "", said.fields))
            dead += 1
        elif said.kind is AnswerKind.HEARTBEAT:
            _live(db, said, _held(db, row["partition"], said))
            beats += 1
        else:
            answers.append(Answered(row["partition"], str(row["id"]), said, _held(db, row["partition"], said)))
            continue
        db.execute("DELETE FROM answers WHERE id = ?", row["id"])
    return Heard(tuple(answers), beats, dead)


def forget(db: Database, answers: Sequence[Answered]) -> None:
    """Delete answers that were dealt with."""
    for item in answers:
        db.execute("DELETE FROM answers WHERE id = ?", int(item.id))


def served(db: Database) -> tuple[str, ...]:
    """The task queues that other programs say they serve."""
    return tuple(row["queue"] for row in db.execute("SELECT queue FROM served ORDER BY queue"))


def _held(db: Database, partition: int, said: Answer) -> TaskLease | None:
    """The task, with its stored details, if its worker holds it."""
    if not said.task.isdecimal() or len(said.task) > _MOST_DIGITS or str(int(said.task)) != said.task:
        return None
    where = "id = ? AND partition = ? AND queue = ? AND holder = ?"
    rows = db.execute(f"SELECT * FROM tasks WHERE {where}", int(said.task), partition, said.queue, said.worker)
    leases = read_tasks(db, rows)
    if not leases:
        return None
    details = rows[0]["heartbeat"]
    return leases[0] if details is None else replace(leases[0], heartbeat=Raw(details))


def _live(db: Database, said: Answer, lease: TaskLease | None) -> None:
    renewed = lease is not None and TASKS.renew(db, said.worker, said.task)
    if renewed and said.details is not ABSENT:
        db.execute("UPDATE tasks SET heartbeat = ? WHERE id = ?", bytes(said.details), int(said.task))
