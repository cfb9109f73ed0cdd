"""What a caller may decide beside the inputs of a call: retry policies, options of activities, options of a start."""

# No `from __future__ import annotations`: public dataclasses name `redurable` as their module, where a library that
# resolves annotations later would not find the types.

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import UnionType
from typing import Any, Literal, TypedDict, TypeGuard, get_args

from msgspec.structs import replace

from redurable.core.ids import check_instance_id, check_name
from redurable.core.values import ActivityOptions, Backoff, ParentClose, Retry, Timeouts
from redurable.errors import InvalidPayload, RegistrationError

OnConflict = Literal["fail", "use-existing", "replace-finished"]
"""What a start does when its instance id is taken."""

ParentCloseName = Literal["terminate", "cancel", "abandon"]
"""What becomes of a sub-orchestration when its parent ends first."""

_MILLISECOND = timedelta(milliseconds=1)
_NOTHING = timedelta(0)

TIMEOUTS = tuple(f"{name}_timeout" for name in Timeouts.__struct_fields__)
ACTIVITY_OPTIONS = frozenset({"task_queue", "retry", *TIMEOUTS})
START_OPTIONS = frozenset({"instance_id", "on_conflict", "delay", "tags", "memo", "execution_timeout"})
DETACHED_OPTIONS = frozenset({"instance_id", "delay", "tags", "memo", "execution_timeout"})
CHILD_OPTIONS = DETACHED_OPTIONS | {"retry", "parent_close"}
RESERVED = START_OPTIONS | CHILD_OPTIONS
"""What no parameter of an orchestrator may be called: these keywords of a start are options, not inputs."""

_CONFLICTS: tuple[OnConflict, ...] = get_args(OnConflict)


def milliseconds(span: timedelta) -> int:
    """A span in whole milliseconds, rounded up: nothing durable happens too early."""
    whole, rest = divmod(span, _MILLISECOND)
    return whole + bool(rest)  # Not by negation: the longest span has no opposite.


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often a failed activity is tried again, and how long to wait in between.

    The wait before attempt n+1 is `initial_interval` (FIXED), `initial_interval * n` (LINEAR) or
    `initial_interval * coefficient ** (n - 1)` (EXPONENTIAL), never more than `max_interval` (None: no limit), and
    then spread evenly by ± `jitter`, a fraction from 0 to 1. No attempt begins later than `retry_timeout` after the
    call was scheduled (None: no limit; a running attempt is not interrupted). An error is not tried again when its
    type, or a base of it, is in `non_retryable`: exception types or their names, bare (`"CardDeclined"`) or qualified
    (`"shop.CardDeclined"`). A policy that makes no sense raises `RegistrationError`. The fields are those of Azure's
    .NET `RetryOptions`, and Temporal's jitter and names of non-retryable errors.
    """

    max_attempts: int = 3
    initial_interval: timedelta = timedelta(seconds=1)
    backoff: Backoff = Backoff.EXPONENTIAL
    coefficient: float = 2.0
    max_interval: timedelta | None = None
    jitter: float = 0.0
    retry_timeout: timedelta | None = None
    non_retryable: Sequence[str | type[BaseException]] = ()

    def __post_init__(self) -> None:
        problem = next(self._problems(), None)
        if problem is not None:
            raise RegistrationError(f"RetryPolicy: {problem}")
        object.__setattr__(self, "_wire", self._to_wire())

    def _problems(self) -> Iterator[str]:
        first, most = self.initial_interval, self.max_interval
        if not _is(self.max_attempts, int) or self.max_attempts < 1:
            yield f"max_attempts={self.max_attempts!r}: use 1 for no retry, or a larger integer"
        if not _is(first, timedelta) or first < timedelta(0):
            yield f"initial_interval={first!r}: use a timedelta that is not negative"
        if self.backoff not in tuple(Backoff):
            yield f"backoff={self.backoff!r}: use a member of Backoff"
        if not _is(self.coefficient, int | float) or not 1 <= self.coefficient < math.inf:
            yield f"coefficient={self.coefficient!r}: use a number of 1 or more"
        if most is not None and (not _is(most, timedelta) or most < max(first, _MILLISECOND)):
            yield f"max_interval={most!r}: use a timedelta of initial_interval ({first}) or more"
        if not _is(self.jitter, int | float) or not 0 <= self.jitter <= 1:
            yield f"jitter={self.jitter!r}: use a fraction from 0 to 1"
        if self.retry_timeout is not None and (
            not _is(self.retry_timeout, timedelta) or self.retry_timeout <= timedelta(0)
        ):
            yield f"retry_timeout={self.retry_timeout!r}: use a timedelta of more than nothing, or None"
        # A string is a sequence of names, of one letter each.
        if _is(self.non_retryable, str):
            yield f"non_retryable={self.non_retryable!r}: use a list"

    @property
    def wire(self) -> Retry:
        """The policy as it travels with a task."""
        wire: Retry = getattr(self, "_wire")  # noqa: B009 - made in __post_init__, no field of the dataclass
        return wire

    def _to_wire(self) -> Retry:
        return Retry(
            max_attempts=self.max_attempts,
            initial_ms=milliseconds(self.initial_interval),
            backoff=Backoff(self.backoff),
            coefficient=float(self.coefficient),
            max_interval_ms=milliseconds(self.max_interval) if self.max_interval is not None else 0,
            jitter=float(self.jitter),
            non_retryable=tuple(dict.fromkeys(_names(self.non_retryable))),
            retry_timeout_ms=milliseconds(self.retry_timeout) if self.retry_timeout is not None else 0,
        )


def _is(value: object, kind: type | UnionType) -> bool:
    return isinstance(value, kind)


def _is_error_type(value: object) -> TypeGuard[type[BaseException]]:
    return isinstance(value, type) and issubclass(value, BaseException)


def _names(errors: Iterable[str | type[BaseException]]) -> Iterable[str]:
    for error in errors:
        if isinstance(error, str):
            yield error
        elif _is_error_type(error):
            yield f"{error.__module__}.{error.__qualname__}"
            yield error.__name__
        else:
            raise RegistrationError(f"RetryPolicy: non_retryable holds {error!r}: use exception types or their names")


class ActivityCallOptions(TypedDict, total=False):
    """Options of an activity, at registration and for one call. `task_queue`: which workers run it.

    The timeouts, each more than nothing, None: no such timeout (the default). `schedule_to_start_timeout`: each wait
    in the queue for a worker. `start_to_close_timeout`: each attempt. `schedule_to_close_timeout`: the whole call with
    its retries. `heartbeat_timeout`: from one `ActivityContext.heartbeat` of an attempt to the next. An attempt that
    runs out of start-to-close or heartbeat time has failed, and is tried again by the retry policy.
    """

    task_queue: str
    retry: RetryPolicy
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    schedule_to_close_timeout: timedelta | None
    heartbeat_timeout: timedelta | None


class StartOptions(TypedDict, total=False):
    """Options of a start.

    `instance_id`: default a new unique one. `on_conflict`: when the id is taken, "fail" (default) raises
    `InstanceAlreadyExists`, "use-existing" returns the instance that is there, "replace-finished" purges it if it has
    finished. `delay`: how long to wait before the first turn. `tags`: labels that stay with the instance.
    `memo`: anything that has a JSON form, to be read with the status; it stays with the instance, too.
    `execution_timeout`: how long after its first turn the instance must have ended, with all executions that it
    continues as; else it has failed with `ExecutionTimedOut`. As Temporal's workflow execution timeout.
    """

    instance_id: str
    on_conflict: OnConflict
    delay: timedelta
    tags: dict[str, str]
    execution_timeout: timedelta
    memo: object


class OrchestratorOptions(StartOptions, total=False):
    """What `orchestrator.options(…)` takes: options of a start, and of a sub-orchestration. See `ChildOptions`."""

    retry: RetryPolicy
    parent_close: ParentCloseName


class DetachedOptions(TypedDict, total=False):
    """Options of a child that stand beside its inputs.

    `instance_id`: default `{parent}:{number}`; of a child that nobody waits for, a new unique one. `tags`: labels that
    stay with the child; it inherits none. `memo`: see `StartOptions`. `delay`: how long to wait before its first turn.
    `execution_timeout`: as in `StartOptions`; with a retry policy, of each attempt.
    """

    instance_id: str | None
    tags: dict[str, str]
    memo: object
    delay: timedelta
    execution_timeout: timedelta


class ChildOptions(DetachedOptions, total=False):
    """Options of a sub-orchestration. `retry`: call it again when it has failed, each time as a new instance, which is
    called `{instance_id}:{attempt}` from the second one on when an id is given. Default: it is called once.
    `parent_close`: what becomes of it when its parent ends first: "terminate" (default), "cancel" (its own code cleans
    up), or "abandon" (it goes on)."""

    retry: RetryPolicy
    parent_close: ParentCloseName


def check_options(given: Mapping[str, object], allowed: frozenset[str], owner: str) -> None:
    """Raise `RegistrationError` for an option that does not exist."""
    for name in given:
        if name not in allowed:
            raise RegistrationError(f"{owner}: there is no option {name!r}; there are {', '.join(sorted(allowed))}")


def activity_options(given: Mapping[str, Any], base: ActivityOptions, owner: str) -> ActivityOptions:
    """`base` with the given options of `ActivityCallOptions` in place of its own."""
    check_options(given, ACTIVITY_OPTIONS, owner)
    queue, retry = given.get("task_queue", base.task_queue), given.get("retry")
    if retry is not None and not isinstance(retry, RetryPolicy):
        raise RegistrationError(f"{owner}: retry={retry!r}: use a RetryPolicy")
    return ActivityOptions(
        check_name(queue, "task queue"),
        base.retry if retry is None else retry.wire,
        _timeouts(given, base.timeouts, owner),
    )


def _timeouts(given: Mapping[str, Any], base: Timeouts, owner: str) -> Timeouts:
    chosen = {name: given[name] for name in TIMEOUTS if name in given}
    for name, span in chosen.items():
        if span is not None and (not isinstance(span, timedelta) or span <= timedelta(0)):
            raise RegistrationError(f"{owner}: {name}={span!r}: use a timedelta of more than nothing, or None")
    lengths = {name.removesuffix("_timeout"): milliseconds(span) if span else 0 for name, span in chosen.items()}
    return replace(base, **lengths) if lengths else base


def start_options(given: Mapping[str, Any], owner: str) -> OrchestratorOptions:
    """The given options of a start or of a child, checked one by one."""
    check_options(given, RESERVED, owner)
    if "instance_id" in given:
        check_instance_id(given["instance_id"])
    if "on_conflict" in given and given["on_conflict"] not in _CONFLICTS:
        raise InvalidPayload(f"{owner}: on_conflict={given['on_conflict']!r}: use {', '.join(_CONFLICTS)}")
    delay = given.get("delay", _NOTHING)
    if not isinstance(delay, timedelta) or delay < _NOTHING:
        raise InvalidPayload(f"{owner}: delay={delay!r}: use a timedelta that is not negative")
    limit = given.get("execution_timeout")
    if limit is not None and (not isinstance(limit, timedelta) or limit <= timedelta(0)):
        raise InvalidPayload(f"{owner}: execution_timeout={limit!r}: use a timedelta of more than nothing")
    tags: dict[Any, Any] = given.get("tags", {})
    if not all(isinstance(text, str) for item in tags.items() for text in item):
        raise InvalidPayload(f"{owner}: tags={tags!r}: use strings as names and values")
    if "retry" in given and not isinstance(given["retry"], RetryPolicy):
        raise RegistrationError(f"{owner}: retry={given['retry']!r}: use a RetryPolicy")
    if "parent_close" in given and given["parent_close"] not in tuple(ParentClose):
        names = ", ".join(ParentClose)
        raise InvalidPayload(f"{owner}: parent_close={given['parent_close']!r}: use one of {names}")
    return OrchestratorOptions(**given)


def check_fit(given: Mapping[str, Any], allowed: frozenset[str], owner: str, call: str) -> None:
    """Raise `RegistrationError` for an option that `call`, another one than it was made for, does not take."""
    for name in given:
        if name not in allowed:
            raise RegistrationError(f"{owner}: {call} takes no {name!r}; its options are {', '.join(sorted(allowed))}")
