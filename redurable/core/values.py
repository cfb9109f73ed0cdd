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


class Trace(Struct, frozen=True, omit_defaults=True):
    """A W3C trace context, carried beside the work: what comes of it belongs below the span that `traceparent` names.

    `link` is the id of the span that the execution continues (empty: it continues none).
    """

    traceparent: str
    tracestate: str = ""
    link: str = ""

    @property
    def trace_id(self) -> str:
        """The 32 hexadecimal digits that all spans of the trace share."""
        return self.traceparent[3:35]

    @property
    def span(self) -> str:
        """The 16 hexadecimal digits of the span above."""
        return self.traceparent[36:52]


class ParentClose(StrEnum):
    """What becomes of a sub-orchestration that still runs when its parent has ended."""

    TERMINATE = "terminate"
    CANCEL = "cancel"
    ABANDON = "abandon"


class Child(Struct, frozen=True):
    """What a parent decides about a child beside its arguments.

    An empty `instance` means `{parent}:{seq}`; `delay` and `execution_timeout` in milliseconds; `attempt` counts the
    calls of a retry policy.
    """

    instance: str = ""
    tags: dict[str, str] = {}
    delay: int = 0
    attempt: int = 1
    execution_timeout: int = 0
    parent_close: ParentClose = ParentClose.TERMINATE
    memo: Raw = ABSENT


class Backoff(StrEnum):
    """How the wait between attempts grows."""

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class Retry(Struct, frozen=True, omit_defaults=True):
    """A retry policy on the wire; times in milliseconds, `jitter` as a fraction of the interval (0 to 1).

    `retry_timeout_ms` after a call was scheduled no further attempt begins; 0: whenever.
    """

    max_attempts: int = 3
    initial_ms: int = 1000
    backoff: Backoff = Backoff.EXPONENTIAL
    coefficient: float = 2.0
    max_interval_ms: int = 0
    jitter: float = 0.0
    non_retryable: tuple[str, ...] = ()
    retry_timeout_ms: int = 0


class Timeouts(Struct, frozen=True, omit_defaults=True):
    """How long an activity may take, in milliseconds; 0: as long as it likes.

    `schedule_to_start`: each wait in a queue for a worker. `start_to_close`: each attempt. `schedule_to_close`: the
    whole call. `heartbeat`: from one sign of life of an attempt to the next.
    """

    schedule_to_start: int = 0
    start_to_close: int = 0
    schedule_to_close: int = 0
    heartbeat: int = 0

    @property
    def durable(self) -> bool:
        """True when the store holds timers for it: they run out also where no worker is there to watch them."""
        return bool(self.schedule_to_start or self.schedule_to_close)


class ActivityOptions(Struct, frozen=True, omit_defaults=True):
    """What a caller decides about an activity beside its arguments."""

    task_queue: str = "default"
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()


class Ending(StrEnum):
    """How an attempt ended that was not the last."""

    FAILED = "failed"
    TIMED_OUT = "timed-out"
    CRASHED = "crashed"


class Attempt(Struct, frozen=True, omit_defaults=True):
    """An attempt that ended without settling its call. Times in milliseconds of the Unix epoch.

    When a crashed attempt started is not known: `started` is then the earliest moment at which it can have.
    """

    number: int
    outcome: Ending
    worker: str = ""
    started: int = 0
    ended: int = 0
    failure: Failure | None = None


class Held(Struct, frozen=True, omit_defaults=True):
    """An attempt whose function has returned, and which whoever has its token completes: `key` is its secret.

    `worker` began it, at `started`; `last` is its last sign of life (both in milliseconds of the Unix epoch).
    """

    key: str
    worker: str = ""
    started: int = 0
    last: int = 0


class Task(Struct, frozen=True, omit_defaults=True, tag=True, tag_field="type"):
    """A piece of activity work, as it lies in a task queue.

    `log`: its earlier attempts. `heartbeat`: the newest details that one of them left. `waiting_since`: when the
    attempt began to wait, where that was before the task came into its queue (milliseconds; 0: it was not). `held`: the
    attempt is under way without a worker; a task that comes back into its queue so has run out of its time. `trace`:
    what the attempts' spans belong below. `origin`: the execution that made the call, when another one begins with its
    history.
    """

    instance: str
    execution: str
    seq: int
    name: str
    call: Arguments
    options: ActivityOptions = ActivityOptions()
    attempt: int = 1
    scheduled_at: int = 0
    log: tuple[Attempt, ...] = ()
    heartbeat: Raw = ABSENT
    waiting_since: int = 0
    held: Held | None = None
    origin: str = ""
    trace: Trace | None = None
    v: int = 1

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this call, different for every other call."""
        return f"{self.instance}:{self.origin or self.execution}:{self.seq}"

    @property
    def close_by(self) -> int:
        """When the call must have its outcome, in milliseconds of the Unix epoch; 0: whenever."""
        limit = self.options.timeouts.schedule_to_close
        return self.scheduled_at + limit if limit else 0
