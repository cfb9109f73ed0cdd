"""What the runtime itself says of attempts: timeouts that ran out, workers that fell silent, and the log of both.

Such failures have no stack, because no user code raised them; by that and by their type they are told from errors of
user code that happen to have the same name.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from redurable.core.messages import ActivityFailure
from redurable.core.values import Attempt, Failure, Task
from redurable.errors import (
    ActivityCrashed,
    ActivityFailed,
    ActivityTimedOut,
    HeartbeatTimeout,
    ScheduleToCloseTimeout,
    ScheduleToStartTimeout,
    StartToCloseTimeout,
)

GRACE_MS = 250
"""So much later than a call must be closed its durable timer is due: a worker that watches the attempt knows more about
it, and is heard first."""

MOST_FIRST = 1
MOST_LAST = 19
"""So many attempts stay in a log, of the first and of the last ones."""

MOST_NEWS = 1_000
"""So many commits of a partition that cancelled calls are kept for workers that come to read of them."""
MOST_MARKS = 10_000
"""So many cancelled calls of a partition are remembered, for workers that renew the leases of their tasks."""

_MOST_MESSAGE = 1_000

_ERRORS: dict[str, type[ActivityFailed]] = {
    kind.__name__: kind
    for kind in (
        ActivityCrashed,
        HeartbeatTimeout,
        ScheduleToCloseTimeout,
        ScheduleToStartTimeout,
        StartToCloseTimeout,
    )
}

_TIMEOUTS: dict[type[ActivityTimedOut], tuple[str, str]] = {
    ScheduleToStartTimeout: ("schedule_to_start", "no worker began attempt {attempt} within its {limit}"),
    StartToCloseTimeout: ("start_to_close", "attempt {attempt} did not end within its {limit}"),
    ScheduleToCloseTimeout: ("schedule_to_close", "the call did not end within its {limit}"),
    HeartbeatTimeout: ("heartbeat", "attempt {attempt} gave no sign of life within its {limit}"),
}

NO_START = Failure(ScheduleToStartTimeout.__name__, "no worker began within its schedule_to_start_timeout")
"""What a call ends with when the task that nobody received has vanished from its queue, too."""

NO_END = Failure(ScheduleToCloseTimeout.__name__, "the call did not end within its schedule_to_close_timeout")
"""What a call ends with when its durable timer is due, and nobody has told what became of its attempts."""


def activity_error(name: str, failure: Failure) -> ActivityFailed:
    """The error that an orchestrator gets of a failed activity."""
    return _ERRORS.get("" if failure.stack else failure.type, ActivityFailed)(name, failure)


def timed_out(kind: type[ActivityTimedOut], task: Task, attempts: int, cause: Failure | None = None) -> Failure:
    """A timeout ran out, after so many attempts."""
    timeout, text = _TIMEOUTS[kind]
    limit = f"{timeout}_timeout of {getattr(task.options.timeouts, timeout) / 1000:g} s"
    message = text.format(attempt=task.attempt, limit=limit)
    return Failure(kind.__name__, message, attempts=attempts, cause=cause)


def crashed(task: Task, worker: str) -> Failure:
    """The worker of an attempt fell silent."""
    message = f"the worker {worker or '(unknown)'} fell silent in attempt {task.attempt}: its lease ran out"
    return Failure(ActivityCrashed.__name__, message, attempts=task.attempt)


def not_begun(task: Task) -> ActivityFailure:
    """The outcome of a call whose task waited for too long."""
    failure = timed_out(ScheduleToStartTimeout, task, task.attempt - 1)
    return ActivityFailure(execution=task.execution, seq=task.seq, failure=failure, log=task.log)


def logged(log: Sequence[Attempt], attempt: Attempt) -> tuple[Attempt, ...]:
    """The log with one more attempt. It travels with the task, so it keeps the first and the last ones, and of errors
    what they said, not where."""
    if attempt.failure is not None:
        attempt = msgspec.structs.replace(attempt, failure=_brief(attempt.failure))
    longer = (*log, attempt)
    return longer if len(longer) <= MOST_FIRST + MOST_LAST else longer[:MOST_FIRST] + longer[-MOST_LAST:]


def _brief(failure: Failure) -> Failure:
    text = failure.message
    if len(text) > _MOST_MESSAGE:
        text = f"{text[:_MOST_MESSAGE]}… ({len(text) - _MOST_MESSAGE} more characters)"
    return Failure(failure.type, text)
