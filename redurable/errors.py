"""Every error redurable raises.

RedurableError
├── CallerError                       the caller's mistake: change the call
│   ├── InvalidName                   a hub, instance, event, queue or function name that is not allowed
│   ├── InvalidPayload                a value that cannot be encoded, or does not fit its type
│   ├── RegistrationError             an App that cannot work as declared
│   ├── InvalidFilter                 filters of a list of instances that cannot be meant
│   ├── InvalidToken                  no token of `complete_later()`, no continuation of this list, or of another hub
│   ├── AttemptNotFound               the attempt of a token is not under way any more
│   ├── UnknownFunction               no orchestrator or activity of that name
│   ├── HubNotFound                   nobody has created that hub yet
│   ├── InstanceNotFound
│   ├── InstanceAlreadyExists
│   ├── InstanceFinished              the instance takes no more messages
│   ├── InstanceNotFinished           purge or restart of an instance that still runs
│   ├── InstanceNotFailed             rewind of an instance that has not failed
│   ├── InvalidPosition               reset to a place of a history where nothing can go on
│   ├── InvalidHistory                a file that holds no histories
│   └── NotBuilt                      a documented feature that this version does not have
├── OrchestrationEnded                how an instance ended, raised by `result()`
│   ├── OrchestrationFailed
│   │   ├── ExecutionTimedOut         it did not end within its execution_timeout
│   │   └── HistoryLimitExceeded      its history became too long
│   ├── OrchestrationCanceled
│   └── OrchestrationTerminated
├── CallFailed                        raised inside an orchestrator, by the call that failed
│   ├── ActivityFailed
│   │   ├── ActivityCrashed           the worker of the last attempt fell silent
│   │   └── ActivityTimedOut
│   │       ├── ScheduleToStartTimeout    no worker began in time
│   │       ├── StartToCloseTimeout       the last attempt took too long
│   │       ├── ScheduleToCloseTimeout    the call as a whole took too long
│   │       └── HeartbeatTimeout          the last attempt was silent for too long
│   └── SubOrchestrationFailed
├── RetryAfter                        raised by activities: try again, but only then
├── DeterminismError                  code and history disagree, or code does what cannot be replayed
│   ├── NondeterminismError           the commands of a replay are not the ones in the history
│   ├── NotDeterministic              I/O, threads or subprocesses inside an orchestrator
│   └── TurnLimitExceeded             one turn that does not end
└── StoreError                        the infrastructure
    ├── StoreUnavailable              no answer, or not now; the runtime retries by itself
    │   └── StoreFull                 the server takes no writes for want of memory or disk: workers wait
    ├── StoreRefused                  the server or hub cannot be used as it is: a person must act
    │   └── StoreDamaged              another program has written over a key: it must be repaired or deleted
    ├── MissingExtra                  an optional package is not installed
    └── WorkerStopped                 a role of the worker died
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from redurable.core.values import Failure, RuntimeStatus


class RedurableError(Exception):
    """Root of all errors."""


class CallerError(RedurableError):
    """The caller's mistake."""


class InvalidName(CallerError, ValueError):
    """A name that is not allowed."""


class InvalidPayload(CallerError, ValueError):
    """A value that cannot be encoded, or does not fit its declared type."""


class RegistrationError(CallerError, TypeError):
    """An App that cannot work as declared."""


class InvalidFilter(CallerError, ValueError):
    """Filters of a list of instances that cannot be meant."""


class InvalidToken(CallerError, ValueError):
    """A text that is no token of an attempt, no continuation of this list, or one of another hub."""


class AttemptNotFound(CallerError, LookupError):
    """The attempt of a token is not under way: it was completed before, it timed out, or its execution is over."""


class UnknownFunction(CallerError, LookupError):
    """No orchestrator or activity of that name is registered."""


class HubNotFound(CallerError, LookupError):
    """No hub has that name. The first worker, or the first start of an instance, creates it."""


class InstanceNotFound(CallerError, LookupError):
    """No instance has that id."""


class InstanceAlreadyExists(CallerError):
    """An instance with that id exists."""


class InstanceFinished(CallerError):
    """The instance has finished and takes no more messages."""


class InstanceNotFinished(CallerError):
    """The instance has not finished, or a parent that was rewound has asked it to go on: so it cannot be purged, nor
    started again under its id."""


class InstanceNotFailed(CallerError):
    """The instance has not failed, so there is nothing to rewind. `status` is its runtime status."""

    def __init__(self, text: str, status: RuntimeStatus) -> None:
        super().__init__(text)
        self.status = status


class InvalidPosition(CallerError, ValueError):
    """An execution cannot go back to this place of its history: it stands amid a step, or is not there."""


class InvalidHistory(CallerError, ValueError):
    """What should be a recorded history is none that this release can read."""


class NotBuilt(CallerError, NotImplementedError):
    """A documented feature that this version does not have yet."""


class _WithFailure(RedurableError):
    """An error that carries the `Failure` of user code: `type`, `message`, `attempts` and `cause`."""

    def __init__(self, text: str, failure: Failure) -> None:
        super().__init__(text)
        self.failure = failure
        self.type = failure.type
        self.message = failure.message
        self.attempts = failure.attempts
        self.cause = failure.cause


class OrchestrationEnded(_WithFailure):
    """How an instance ended when it did not complete."""

    def __init__(self, instance_id: str, text: str, failure: Failure) -> None:
        super().__init__(text, failure)
        self.instance_id = instance_id


class OrchestrationFailed(OrchestrationEnded):
    """The orchestrator raised an error."""


class ExecutionTimedOut(OrchestrationFailed):
    """The instance did not end within its `execution_timeout`."""


class HistoryLimitExceeded(OrchestrationFailed):
    """A turn would have made the history longer than it may be: call `continue_as_new` in time."""


class OrchestrationCanceled(OrchestrationEnded):
    """The instance was cancelled."""


class OrchestrationTerminated(OrchestrationEnded):
    """The instance was terminated."""


class CallFailed(_WithFailure):
    """A call made by an orchestrator failed for good."""

    def __init__(self, name: str, failure: Failure) -> None:
        attempts = f" after {failure.attempts} attempts" if failure.attempts > 1 else ""
        super().__init__(f"{name} failed{attempts}: {failure.type}: {failure.message}", failure)
        self.name = name


class ActivityFailed(CallFailed):
    """An activity failed for good."""


class ActivityCrashed(ActivityFailed):
    """No attempt is left, and the last one ended with its worker: the lease of its task ran out."""


class ActivityTimedOut(ActivityFailed):
    """A timeout of an activity ran out."""


class ScheduleToStartTimeout(ActivityTimedOut):
    """No worker began an attempt in time. Not tried again."""


class StartToCloseTimeout(ActivityTimedOut):
    """The last attempt took too long."""


class ScheduleToCloseTimeout(ActivityTimedOut):
    """The call with all its attempts took too long. Not tried again."""


class HeartbeatTimeout(ActivityTimedOut):
    """The last attempt gave no sign of life for too long."""


class SubOrchestrationFailed(CallFailed):
    """A sub-orchestration failed, was terminated, or could not be started."""


class RetryAfter(RedurableError):
    """Raised by an activity: this attempt failed, and the next one is to begin after `retry_after`, whatever the
    back-off of its policy says. `raise RetryAfter(timedelta(seconds=30)) from error` keeps what happened as the cause.

    It counts as an attempt, and the limits of the policy hold. Any error with such an attribute (a timedelta or a
    number of seconds) is treated so. As the `next_retry_delay` of Temporal's `ApplicationError`.
    """

    def __init__(self, retry_after: timedelta, message: str = "") -> None:
        super().__init__(message or f"try again after {retry_after}")
        self.retry_after = retry_after


class DeterminismError(RedurableError):
    """Code and history disagree, or code does what cannot be replayed."""


class NondeterminismError(DeterminismError):
    """The commands of a replay are not the ones in the history.

    `position` counts the events of the history from 0. `expected` is the event there (empty: the history has no more),
    `asked` the command of the code (empty: none), `place` the source line that asked (empty: unknown).
    """

    def __init__(self, text: str, position: int = 0, expected: str = "", asked: str = "", place: str = "") -> None:
        super().__init__(text)
        self.position = position
        self.expected = expected
        self.asked = asked
        self.place = place


class NotDeterministic(DeterminismError):
    """An orchestrator tried I/O, threads or subprocesses."""


class TurnLimitExceeded(DeterminismError):
    """A turn asks for too much, or never becomes idle."""


class StoreError(RedurableError):
    """The infrastructure failed."""


class StoreUnavailable(StoreError):
    """The server did not answer. Whether the last write happened is unknown; repeating it is harmless."""


class StoreFull(StoreUnavailable):
    """The server takes no more writes for want of memory or disk. Workers wait for room, clients are told at once."""


class StoreRefused(StoreError):
    """The server or the hub cannot be used as it is."""


class StoreDamaged(StoreRefused):
    """What lies in the store is not what redurable put there: another program has written over it."""


class MissingExtra(StoreError):
    """An optional package is not installed."""


class WorkerStopped(StoreError):
    """A role of the worker died, so the worker stopped."""
