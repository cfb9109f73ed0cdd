"""What a store hears of foreign workers: the values of its verbs `hear` and `forget`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from redurable.core.answers import Answer

if TYPE_CHECKING:
    from redurable.store.port import TaskLease


class Answered(Struct, frozen=True):
    """An answer that is no mere sign of life, and where it lies. `lease` is its task, with the details that the store
    holds of it; None: its worker does not hold it any more, so the answer comes too late."""

    partition: int
    id: str
    answer: Answer
    lease: TaskLease | None = None


class Heard(Struct, frozen=True):
    """`answers`, oldest first per partition, stay until `forget`; so many `heartbeats` are dealt with, so many answers
    are `dead` letters."""

    answers: tuple[Answered, ...] = ()
    heartbeats: int = 0
    dead: int = 0
