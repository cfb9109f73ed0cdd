"""What a store hears of foreign workers: the values of its verbs `hear` and `forget`. A store to which no other program
can write hears nothing."""

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
    """`answers`, per partition the oldest first, are read again and again until `forget`.

    So many `heartbeats` were taken, each once whoever called: the lease is renewed and the details are stored, if that
    worker holds the task. So many answers could not be read and are `dead` letters, each once, too.
    """

    answers: tuple[Answered, ...] = ()
    heartbeats: int = 0
    dead: int = 0
