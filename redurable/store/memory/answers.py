"""What foreign workers answer: about tasks that they hold by the same peek-lock as everybody else."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Raw
from msgspec.structs import replace

from redurable.core.answers import Answer, AnswerKind
from redurable.core.delivery import DeadLetter
from redurable.core.foreign import read_answer
from redurable.core.messages import Malformed
from redurable.core.values import ABSENT
from redurable.store.hearing import Answered, Heard
from redurable.store.memory.admission import bury
from redurable.store.memory.state import MemoryHub, Partition
from redurable.store.memory.streams import ZERO, format_id, parse_id
from redurable.store.memory.tasks import beat_key, read_tasks
from redurable.store.port import TaskLease


def hear(hub: MemoryHub, partitions: Iterable[int], count: int, limit: int) -> Heard:
    """Read the answers of these partitions; signs of life and what cannot be read go at once."""
    answers: list[Answered] = []
    beats = dead = 0
    for partition in (hub.partitions[number] for number in partitions):
        for entry_id, fields in partition.answers.after(ZERO, count):
            said = read_answer(fields, limit)
            if isinstance(said, Malformed):
                partition.answers.delete(entry_id)
                bury(partition, DeadLetter(said.reason, "", said.fields))
                dead += 1
                continue
            lease = _held(partition, said)
            if said.kind is AnswerKind.HEARTBEAT:
                partition.answers.delete(entry_id)
                beats += 1
                _live(partition, said, lease)
            else:
                answers.append(Answered(partition.number, entry_id, said, lease))
    return Heard(tuple(answers), beats, dead)


def _held(partition: Partition, said: Answer) -> TaskLease | None:
    """The task, with what is stored of its heartbeats, if its worker holds it."""
    queue = partition.queues.get(said.queue)
    if queue is None or not _is_id(said.task) or not queue.is_held_by(said.worker, said.task):
        return None
    fields = queue.entries.get(parse_id(said.task))
    leases = [] if fields is None else read_tasks(partition, said.queue, [(said.task, fields)])
    if not leases:
        return None
    details = partition.beats.get(beat_key(leases[0].task))
    return leases[0] if details is None else replace(leases[0], heartbeat=Raw(details))


def _live(partition: Partition, said: Answer, lease: TaskLease | None) -> None:
    renewed = lease is not None and partition.queue(said.queue).renew(partition.clock(), said.worker, said.task)
    if lease is not None and renewed and said.details is not ABSENT:
        partition.beats[beat_key(lease.task)] = bytes(said.details)


def _is_id(text: str) -> bool:
    ms, dash, seq = text.partition("-")
    return bool(dash) and ms.isdecimal() and seq.isdecimal() and format_id(parse_id(text)) == text
