"""What the end of an attempt means: the outcome of its call, another attempt, or the end of the call without one.

Values only; nothing here waits. A verdict is a `TaskEnd` and the outcome of the attempt in the words of
`ActivityAttempted`. Invariant: what became of an attempt is in the task that carries the next one, or in the outcome.
"""

from __future__ import annotations

from binascii import crc32
from math import ceil
from typing import TypeAlias

from msgspec import Raw, Struct
from msgspec.structs import replace

from redurable.authoring.activity_context import Pulse
from redurable.authoring.failures import failure_of, retry_after_of
from redurable.core import limits
from redurable.core.answers import Answer, AnswerKind
from redurable.core.attempts import Sequel, after, call_failed, succeeded, wait_before_next
from redurable.core.completion import hold, ran_out_of_time
from redurable.core.messages import ActivityStopped
from redurable.core.retry import is_retryable
from redurable.core.tokens import Token, write_token
from redurable.core.traces import OpenSpan
from redurable.core.values import ABSENT, Attempt, Ending, Failure, Task
from redurable.errors import ActivityCrashed, ActivityTimedOut, ScheduleToCloseTimeout
from redurable.store.port import TaskEnd, TaskLease

UNKNOWN_MIN_MS = 1_000
UNKNOWN_MAX_MS = 60_000
ELSEWHERE_MIN_MS = 20
ELSEWHERE_MAX_MS = 1_000

Verdict: TypeAlias = tuple[TaskEnd, str]


class Begun(Struct, frozen=True):
    """An attempt under way: its task, who runs it, since when (the store's milliseconds), signs of life, hub, and its
    span, if it is traced."""

    lease: TaskLease
    worker: str
    started: int
    pulse: Pulse
    hub: str = ""
    span: OpenSpan | None = None

    @property
    def task(self) -> Task:
        """What is attempted."""
        return self.lease.task

    def token(self) -> str:
        """By which somebody else completes the attempt."""
        task, lease = self.task, self.lease
        token = Token(
            self.hub,
            task.instance,
            task.execution,
            task.seq,
            task.attempt,
            lease.queue,
            lease.id,
            self.worker,
            self.started,
        )
        return write_token(token)


def returned(begun: Begun, result: Raw) -> Verdict:
    """The function returned, and its result has a JSON form."""
    return _end(_with_stored(begun), succeeded(begun.task, result, begun.worker, begun.started)), "ok"


def left_open(begun: Begun, now: float) -> Verdict:
    """The function returned, and has handed out a token by which the attempt is completed later."""
    task, pulse = begun.task, begun.pulse
    if pulse.details is not ABSENT:
        task = replace(task, heartbeat=pulse.details)
    return _end(_with_stored(begun), hold(task, begun.lease.id, begun.worker, begun.started, round(now))), "later"


def raised(begun: Begun, error: BaseException, now: float, final: bool = False) -> Verdict:
    """The function raised an error. `final`: there is no use in another attempt."""
    task = begun.task
    retryable = not final and is_retryable(error, task.options.retry)
    failure = replace(failure_of(error), attempts=task.attempt)
    end = _failed(begun, Ending.FAILED, failure, retryable, now, retry_after_of(error))
    return end, "error" if retryable else "non_retryable"


def ran_out(
    begun: Begun, kind: type[ActivityTimedOut], now: float, cause: Failure | None = None, final: bool = False
) -> Verdict:
    """A timeout of the running attempt ran out; `cause` is what the function raised when it was cancelled. `final`:
    there is no use in another attempt."""
    task = begun.task
    failure = limits.timed_out(kind, task, task.attempt, cause)
    final = final or kind is ScheduleToCloseTimeout
    retryable = not final and is_retryable(kind(task.name, failure), task.options.retry)
    return _failed(begun, Ending.TIMED_OUT, failure, retryable, now), "timeout"


def not_completed(lease: TaskLease, now: float) -> Verdict:
    """Nobody has completed the attempt by its token in time: it came back into its queue."""
    return _end(lease, ran_out_of_time(lease.task, round(now))), "timeout"


def fell_silent(lease: TaskLease, now: float) -> Verdict:
    """The worker that ran the attempt let its lease run out. After the first time the next attempt follows at once."""
    if lease.task.held is not None:
        return not_completed(lease, now)
    task, policy = lease.task, lease.task.options.retry
    failure = limits.crashed(task, lease.holder)
    delay = wait_before_next(task)
    if delay is not None and all(attempt.outcome is not Ending.CRASHED for attempt in task.log):
        delay = 0
    if not is_retryable(ActivityCrashed(task.name, failure), policy):
        delay = None
    attempt = Attempt(task.attempt, Ending.CRASHED, lease.holder, lease.queued_at, round(now))
    details = task.heartbeat if lease.heartbeat is ABSENT else lease.heartbeat
    return _end(lease, after(task, attempt, failure, delay, details)), "crashed"


def too_late(lease: TaskLease, now: float) -> Verdict | None:
    """Why this task must not begin any more, if it must not. The timers of these timeouts may have told the instance
    already; then it does not hear of it again."""
    task = lease.task
    limit = task.options.timeouts.schedule_to_start
    if limit and now >= _waits_since(lease) + limit:
        return TaskEnd(lease, limits.not_begun(task)), "timeout"
    if task.close_by and now >= task.close_by:
        failure = limits.timed_out(ScheduleToCloseTimeout, task, task.attempt - 1)
        return TaskEnd(lease, call_failed(task, failure, task.log)), "timeout"
    return None


def unwanted(lease: TaskLease) -> Verdict:
    """The call was cancelled before this attempt began. Its history is told of the attempts before it, if any."""
    task = lease.task
    message = None
    if task.log:
        message = ActivityStopped(execution=task.execution, seq=task.seq, attempt=task.attempt, log=task.log)
    return TaskEnd(lease, message), "canceled"


def stopped(begun: Begun) -> Verdict:
    """The call was cancelled while this attempt is under way."""
    task = begun.task
    message = ActivityStopped(
        execution=task.execution,
        seq=task.seq,
        attempt=task.attempt,
        worker=begun.worker,
        started=begun.started,
        log=task.log,
    )
    return TaskEnd(_with_stored(begun), message), "canceled"


def put_back(lease: TaskLease, now: float, elsewhere: bool) -> Verdict:
    """No code here knows the activity, another worker's may: try later and later, without using up an attempt, and
    sooner while there is such a worker (`elsewhere`)."""
    late = too_late(lease, now)
    if late is not None:
        return late
    task = lease.task
    least, most = (ELSEWHERE_MIN_MS, ELSEWHERE_MAX_MS) if elsewhere else (UNKNOWN_MIN_MS, UNKNOWN_MAX_MS)
    delay = min(max(round(now - task.scheduled_at), least), most)
    if elsewhere:
        # Between half of it and all: in step with the workers' polls, a task would come to the same one for ever.
        delay -= crc32(f"{task.idempotency_key}:{now}".encode()) % (delay // 2 + 1)
    limit = task.options.timeouts.schedule_to_start
    if limit:
        # Nobody has begun it, so it goes on waiting; and it is back when its time is over, so that this is seen.
        since = _waits_since(lease)
        task, delay = replace(task, waiting_since=since), min(delay, ceil(since + limit - now))
    return TaskEnd(lease, retry=task, delay_ms=delay), "unknown"


def answered(lease: TaskLease, answer: Answer, now: float) -> Verdict:
    """A foreign worker says what became of a task that it held, and that is no sign of life only. When it began is not
    known: `started` is the earliest moment at which it can have."""
    task = lease.task
    if task.held is not None:
        return not_completed(lease, now)
    if answer.kind is AnswerKind.REFUSE:
        return put_back(lease, now, elsewhere=False)  # Who among foreign workers knows it, nobody says.
    details = next((known for known in (answer.details, lease.heartbeat) if known is not ABSENT), task.heartbeat)
    if answer.kind is AnswerKind.HAND_BACK:
        delay = 1 if task.options.timeouts.schedule_to_start else 0
        return TaskEnd(lease, retry=replace(task, heartbeat=details, waiting_since=0), delay_ms=delay), "lost"
    if answer.failure is None:
        return _end(lease, succeeded(task, answer.result, answer.worker, lease.queued_at)), "ok"
    failure = replace(answer.failure, attempts=task.attempt)
    attempt = Attempt(task.attempt, Ending.FAILED, answer.worker, lease.queued_at, round(now), failure)
    final = answer.final or failure.type in task.options.retry.non_retryable
    delay = None if final else wait_before_next(task, answer.wait_ms)
    return _end(lease, after(task, attempt, failure, delay, details)), "non_retryable" if final else "error"


def _waits_since(lease: TaskLease) -> int:
    return lease.task.waiting_since or lease.queued_at


def _failed(
    begun: Begun, ending: Ending, failure: Failure, retryable: bool, now: float, asked: int | None = None
) -> TaskEnd:
    task, pulse = begun.task, begun.pulse
    delay = wait_before_next(task, asked) if retryable else None
    attempt = Attempt(task.attempt, ending, begun.worker, begun.started, round(now), failure)
    details = task.heartbeat if pulse.details is ABSENT else pulse.details
    return _end(_with_stored(begun), after(task, attempt, failure, delay, details))


def _end(lease: TaskLease, sequel: Sequel) -> TaskEnd:
    return TaskEnd(lease, sequel.message, sequel.retry, sequel.delay_ms)


def _with_stored(begun: Begun) -> TaskLease:
    """The lease, which says whether the store holds details of this attempt that go with it."""
    stored = begun.pulse.stored
    return begun.lease if stored is ABSENT else replace(begun.lease, heartbeat=stored)
