"""What the end of an attempt means: the outcome of its call, another attempt, or the end of the call without one.

Values only; nothing here waits. A verdict is a `TaskEnd` and the outcome of the attempt in the words of
`ActivityAttempted`. Invariant: what became of an attempt is in the task that carries the next one, or in the outcome.
"""

from __future__ import annotations

from math import ceil
from typing import TypeAlias

from msgspec import Raw, Struct
from msgspec.structs import replace

from redurable.authoring.activity_context import Pulse
from redurable.authoring.failures import failure_of
from redurable.core import limits
from redurable.core.messages import ActivityFailure, ActivityResult
from redurable.core.retry import is_retryable, next_delay
from redurable.core.values import ABSENT, Attempt, Ending, Failure, Task
from redurable.errors import ActivityCrashed, ActivityTimedOut, ScheduleToCloseTimeout
from redurable.store.port import TaskEnd, TaskLease

UNKNOWN_MIN_MS = 1_000
UNKNOWN_MAX_MS = 60_000

Verdict: TypeAlias = tuple[TaskEnd, str]


class Begun(Struct, frozen=True):
    """An attempt under way: its task, who runs it, since when (the store's milliseconds), and its signs of life."""

    lease: TaskLease
    worker: str
    started: int
    pulse: Pulse

    @property
    def task(self) -> Task:
        """What is attempted."""
        return self.lease.task


def returned(begun: Begun, result: Raw) -> Verdict:
    """The function returned, and its result has a JSON form."""
    task = begun.task
    message = ActivityResult(
        execution=task.execution,
        seq=task.seq,
        result=result,
        attempts=task.attempt,
        worker=begun.worker,
        started=begun.started,
        log=task.log,
    )
    return TaskEnd(_with_stored(begun), message), "ok"


def raised(begun: Begun, error: BaseException, now: float, final: bool = False) -> Verdict:
    """The function raised an error. `final`: the next attempt would find the same."""
    task = begun.task
    retryable = not final and is_retryable(error, task.options.retry)
    failure = replace(failure_of(error), attempts=task.attempt)
    end = _again_or_over(begun, Ending.FAILED, failure, retryable, now)
    return end, "error" if retryable else "non_retryable"


def ran_out(begun: Begun, kind: type[ActivityTimedOut], now: float, cause: Failure | None = None) -> Verdict:
    """A timeout of the running attempt ran out; `cause` is what the function raised when it was cancelled."""
    task = begun.task
    failure = limits.timed_out(kind, task, task.attempt, cause)
    retryable = kind is not ScheduleToCloseTimeout and is_retryable(kind(task.name, failure), task.options.retry)
    return _again_or_over(begun, Ending.TIMED_OUT, failure, retryable, now), "timeout"


def fell_silent(lease: TaskLease, now: float) -> Verdict:
    """The worker that ran the attempt let its lease run out. After the first time the next attempt follows at once."""
    task, policy = lease.task, lease.task.options.retry
    failure = limits.crashed(task, lease.holder)
    delay = next_delay(policy, task.attempt, task.idempotency_key)
    if delay is not None and all(attempt.outcome is not Ending.CRASHED for attempt in task.log):
        delay = 0
    if not is_retryable(ActivityCrashed(task.name, failure), policy):
        delay = None
    attempt = Attempt(task.attempt, Ending.CRASHED, lease.holder, lease.queued_at, round(now))
    details = task.heartbeat if lease.heartbeat is ABSENT else lease.heartbeat
    if delay is not None:
        return _again(lease, attempt, failure, delay, details), "crashed"
    return TaskEnd(lease, _failure(task, failure, log=limits.logged(task.log, attempt))), "crashed"


def too_late(lease: TaskLease, now: float) -> Verdict | None:
    """Why this task must not begin any more, if it must not. The timers of these timeouts may have told the instance
    already; then it does not hear of it again."""
    task = lease.task
    limit = task.options.timeouts.schedule_to_start
    if limit and now >= _waits_since(lease) + limit:
        return TaskEnd(lease, limits.not_begun(task)), "timeout"
    if task.close_by and now >= task.close_by:
        failure = limits.timed_out(ScheduleToCloseTimeout, task, task.attempt - 1)
        return TaskEnd(lease, _failure(task, failure, log=task.log)), "timeout"
    return None


def put_back(lease: TaskLease, now: float) -> Verdict:
    """No code here knows the activity, another worker's may: try later and later, without using up an attempt."""
    late = too_late(lease, now)
    if late is not None:
        return late
    task = lease.task
    delay = min(max(round(now - task.scheduled_at), UNKNOWN_MIN_MS), UNKNOWN_MAX_MS)
    limit = task.options.timeouts.schedule_to_start
    if limit:
        # Nobody has begun it, so it goes on waiting; and it is back when its time is over, so that this is seen.
        since = _waits_since(lease)
        task, delay = replace(task, waiting_since=since), min(delay, ceil(since + limit - now))
    return TaskEnd(lease, retry=task, delay_ms=delay), "error"


def _waits_since(lease: TaskLease) -> int:
    return lease.task.waiting_since or lease.queued_at


def _again_or_over(begun: Begun, ending: Ending, failure: Failure, retryable: bool, now: float) -> TaskEnd:
    task, lease, pulse = begun.task, _with_stored(begun), begun.pulse
    delay = next_delay(task.options.retry, task.attempt, task.idempotency_key) if retryable else None
    if delay is None:
        return TaskEnd(lease, _failure(task, failure, begun.worker, begun.started, task.log))
    attempt = Attempt(task.attempt, ending, begun.worker, begun.started, round(now), failure)
    return _again(lease, attempt, failure, delay, task.heartbeat if pulse.details is ABSENT else pulse.details)


def _again(lease: TaskLease, attempt: Attempt, failure: Failure, delay: int, details: Raw) -> TaskEnd:
    """The next attempt, if there is time for it."""
    task = lease.task
    log = limits.logged(task.log, attempt)
    if task.close_by and attempt.ended + delay >= task.close_by:
        over = limits.timed_out(ScheduleToCloseTimeout, task, task.attempt, failure)
        return TaskEnd(lease, _failure(task, over, log=log))
    if task.options.timeouts.schedule_to_start:
        delay = max(delay, 1)
    following = replace(task, attempt=task.attempt + 1, log=log, heartbeat=details, waiting_since=0)
    return TaskEnd(lease, retry=following, delay_ms=delay)


def _failure(
    task: Task, failure: Failure, worker: str = "", started: int = 0, log: tuple[Attempt, ...] = ()
) -> ActivityFailure:
    return ActivityFailure(
        execution=task.execution, seq=task.seq, failure=failure, worker=worker, started=started, log=log
    )


def _with_stored(begun: Begun) -> TaskLease:
    """The lease, which says whether the store holds details of this attempt that go with it."""
    stored = begun.pulse.stored
    return begun.lease if stored is ABSENT else replace(begun.lease, heartbeat=stored)
