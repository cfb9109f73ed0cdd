"""What follows from the end of an attempt: the outcome of its call, or another attempt. The rules, without any waiting.

Workers ask for the attempts that they ran, stores for those that are completed by token. Invariant: what became of an
attempt is in the task that carries the next one, or in the outcome.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from redurable.core.limits import logged, timed_out
from redurable.core.messages import ActivityFailure, ActivityResult, ActivityStopped
from redurable.core.retry import next_delay
from redurable.core.values import Attempt, Ending, Failure, Task
from redurable.errors import ScheduleToCloseTimeout


class Sequel(Struct, frozen=True):
    """`message` tells the instance what became of the call; else `retry` comes into its queue after `delay_ms`."""

    message: ActivityResult | ActivityFailure | ActivityStopped | None = None
    retry: Task | None = None
    delay_ms: int = 0


def succeeded(task: Task, result: Raw, worker: str, started: int) -> Sequel:
    """The attempt has a result."""
    message = ActivityResult(
        execution=task.execution,
        seq=task.seq,
        result=result,
        attempts=task.attempt,
        worker=worker,
        started=started,
        log=task.log,
    )
    return Sequel(message)


def wait_before_next(task: Task, asked: int | None = None) -> int | None:
    """Milliseconds until the next attempt; None when none is left. `asked`: the error said when to try again."""
    delay = next_delay(task.options.retry, task.attempt, task.idempotency_key)
    return delay if delay is None or asked is None else asked


def after(task: Task, attempt: Attempt, failure: Failure, delay: int | None, details: Raw) -> Sequel:
    """The attempt failed. `delay` until the next one (None: there is none); `details`: what it leaves to that."""
    if delay is None:
        return Sequel(_over(task, attempt, failure))
    begin = attempt.ended + delay
    if task.close_by and begin >= task.close_by:
        late = timed_out(ScheduleToCloseTimeout, task, task.attempt, failure)
        return Sequel(call_failed(task, late, logged(task.log, attempt)))
    limit = task.options.retry.retry_timeout_ms
    if limit and begin > task.scheduled_at + limit:
        return Sequel(_over(task, attempt, failure))
    if task.options.timeouts.schedule_to_start:
        delay = max(delay, 1)
    following = msgspec.structs.replace(
        task, attempt=task.attempt + 1, log=logged(task.log, attempt), heartbeat=details, waiting_since=0, held=None
    )
    return Sequel(retry=following, delay_ms=delay)


def call_failed(task: Task, failure: Failure, log: tuple[Attempt, ...]) -> ActivityFailure:
    """The call ended after these attempts, not by the end of one."""
    return ActivityFailure(execution=task.execution, seq=task.seq, failure=failure, log=log)


def _over(task: Task, attempt: Attempt, failure: Failure) -> ActivityFailure:
    if attempt.outcome is Ending.CRASHED:
        # The worker that tells of it is not the one that ran it: the attempt is told of in the log.
        return call_failed(task, failure, logged(task.log, attempt))
    return ActivityFailure(
        execution=task.execution,
        seq=task.seq,
        failure=failure,
        worker=attempt.worker,
        started=attempt.started,
        log=task.log,
    )
