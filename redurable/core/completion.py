"""Attempts that somebody else completes: how one is held open, and what follows from what is said of it by token.

While its function runs, such an attempt is a task in its queue, like any other. Then it is *held*: a retry of itself,
due when its time is over. Whoever takes one of the two away decides what becomes of the attempt; so it ends once.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from redurable.core.attempts import Sequel, after, succeeded, wait_before_next
from redurable.core.limits import timed_out
from redurable.core.retry import LONGEST_MS, names_of
from redurable.core.tokens import Token
from redurable.core.values import ABSENT, Attempt, Ending, Failure, Held, Task
from redurable.errors import HeartbeatTimeout, StartToCloseTimeout

LATE = "no attempt with this token is under way: it was completed, it timed out, or its execution is over"


class Completion(Struct, frozen=True):
    """What is said of an attempt: it has this `result`; or this `failure`; or, with neither, that it makes progress,
    with these `details`.

    Of a failure: `names` of its type as `non_retryable` may call them, whether it is `final`, and how many milliseconds
    the next attempt is to wait (None: as the policy says).
    """

    token: Token
    result: Raw = ABSENT
    failure: Failure | None = None
    details: Raw = ABSENT
    names: tuple[str, ...] = ()
    final: bool = False
    wait_ms: int | None = None

    @property
    def ends(self) -> bool:
        """False for a sign of life."""
        return self.failure is not None or self.result is not ABSENT


def hold(task: Task, entry: str, worker: str, started: int, now: int) -> Sequel:
    """The function of an attempt returned at `now`, and left it open. `entry` is that of its token."""
    return _held(task, Held(entry, worker, started, now), now)


def is_of(token: Token, task: Task) -> bool:
    """Whether this is the call and the attempt that the token names."""
    named = token.instance, token.execution, token.seq, token.attempt
    return named == (task.instance, task.execution, task.seq, task.attempt)


def is_held(token: Token, task: Task) -> bool:
    """Whether this held attempt is the one of the token."""
    return task.held is not None and task.held.key == token.entry and is_of(token, task)


def sequel(task: Task, said: Completion, now: int) -> Sequel:
    """What follows for the attempt at `now`. A task that is not held is under way at the worker of the token."""
    held = task.held or Held(said.token.entry, said.token.worker, said.token.started, now)
    if said.failure is not None:
        failure = msgspec.structs.replace(said.failure, attempts=task.attempt)
        attempt = Attempt(task.attempt, Ending.FAILED, held.worker, held.started, now, failure)
        final = said.final or not frozenset(said.names).isdisjoint(task.options.retry.non_retryable)
        delay = None if final else wait_before_next(task, said.wait_ms)
        return after(task, attempt, failure, delay, task.heartbeat)
    if said.result is not ABSENT:
        return succeeded(task, said.result, held.worker, held.started)
    if said.details is not ABSENT:
        task = msgspec.structs.replace(task, heartbeat=said.details)
    return _held(task, msgspec.structs.replace(held, last=now), now)


def ran_out_of_time(task: Task, now: int) -> Sequel:
    """A held attempt was not completed in time."""
    held = task.held or Held("")
    due, kind = min(_deadlines(task, held), default=(now, "start"))
    error = HeartbeatTimeout if kind == "beat" else StartToCloseTimeout
    failure = timed_out(error, task, task.attempt)
    attempt = Attempt(task.attempt, Ending.TIMED_OUT, held.worker, held.started, max(now, due), failure)
    retryable = names_of(error).isdisjoint(task.options.retry.non_retryable)
    return after(task, attempt, failure, wait_before_next(task) if retryable else None, task.heartbeat)


def _held(task: Task, held: Held, now: int) -> Sequel:
    due = min(_deadlines(task, held), default=(now + LONGEST_MS, ""))[0]
    return Sequel(retry=msgspec.structs.replace(task, held=held, waiting_since=0), delay_ms=max(due - now, 1))


def _deadlines(task: Task, held: Held) -> list[tuple[int, str]]:
    """When the attempt must have been completed, and when it must be heard of again, where that is limited."""
    timeouts = task.options.timeouts
    limits = (held.started, timeouts.start_to_close, "start"), (held.last, timeouts.heartbeat, "beat")
    return [(since + limit, kind) for since, limit, kind in limits if limit]
