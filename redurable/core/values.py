"""What messages, commands, events and tasks are made of. Payloads are opaque JSON text (`Raw`), never parsed here."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Raw, Struct

NULL = Raw(b"null")
ABSENT = Raw(b"")
"""Stands where no payload is; compare with `is`."""


class RuntimeStatus(StrEnum):
    """Where an instance stands; Azure Durable Functions' names."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"
    CONTINUED_AS_NEW = "ContinuedAsNew"
    FAILED = "Failed"
    CANCELED = "Canceled"
    TERMINATED = "Terminated"

    @property
    def finished(self) -> bool:
        """True when the instance takes no more turns."""
        return self in _FINISHED


_FINISHED = frozenset({RuntimeStatus.COMPLETED, RuntimeStatus.FAILED, RuntimeStatus.CANCELED, RuntimeStatus.TERMINATED})


class Arguments(Struct, frozen=True, omit_defaults=True):
    """How a call's arguments travel: one as `input` (else `ABSENT`), several as `args` and `kwargs`."""

    input: Raw = ABSENT
    args: tuple[Raw, ...] = ()
    kwargs: dict[str, Raw] = {}


class Failure(Struct, frozen=True, omit_defaults=True):
    """What went wrong in user code, in a form that crosses processes and languages."""

    type: str
    message: str
    stack: str = ""
    attempts: int = 0
    cause: Failure | None = None


class Parent(Struct, frozen=True):
    """Whom a sub-orchestration reports to: the parent's instance, its execution, and the seq of the call in it."""

    instance: str
    execution: str
    seq: int


class Backoff(StrEnum):
    """How the wait between attempts grows."""

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class Retry(Struct, frozen=True, omit_defaults=True):
    """A retry policy on the wire; times in milliseconds, `jitter` as a fraction of the interval (0 to 1)."""

    max_attempts: int = 3
    initial_ms: int = 1000
    backoff: Backoff = Backoff.EXPONENTIAL
    coefficient: float = 2.0
    max_interval_ms: int = 0
    jitter: float = 0.0
    non_retryable: tuple[str, ...] = ()


class ActivityOptions(Struct, frozen=True, omit_defaults=True):
    """What a caller decides about an activity beside its arguments."""

    task_queue: str = "default"
    retry: Retry = Retry()


class Task(Struct, frozen=True, omit_defaults=True, tag=True, tag_field="type"):
    """A piece of activity work, as it lies in a task queue."""

    instance: str
    execution: str
    seq: int
    name: str
    call: Arguments
    options: ActivityOptions = ActivityOptions()
    attempt: int = 1
    scheduled_at: int = 0
    v: int = 1

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this call, different for every other call."""
        return f"{self.instance}:{self.execution}:{self.seq}"
