"""What the runtime says of attempts: types, texts, and a log that does not grow."""

from __future__ import annotations

import pytest

from redurable import (
    ActivityCrashed,
    ActivityFailed,
    ActivityTimedOut,
    HeartbeatTimeout,
    ScheduleToCloseTimeout,
    ScheduleToStartTimeout,
    StartToCloseTimeout,
)
from redurable.core import limits
from redurable.core.codec import decode_task, encode
from redurable.core.values import ActivityOptions, Arguments, Attempt, Ending, Failure, Task, Timeouts

TASK = Task(
    "one",
    "x",
    4,
    "Charge",
    Arguments(),
    ActivityOptions(timeouts=Timeouts(1_500, 30_000, 60_000, 250)),
    attempt=2,
)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ScheduleToStartTimeout, "no worker began attempt 2 within its schedule_to_start_timeout of 1.5 s"),
        (StartToCloseTimeout, "attempt 2 did not end within its start_to_close_timeout of 30 s"),
        (ScheduleToCloseTimeout, "the call did not end within its schedule_to_close_timeout of 60 s"),
        (HeartbeatTimeout, "attempt 2 gave no sign of life within its heartbeat_timeout of 0.25 s"),
    ],
)
def test_each_timeout_has_its_error_and_says_which_limit_it_was(kind: type[ActivityTimedOut], text: str) -> None:
    failure = limits.timed_out(kind, TASK, 2)
    assert (failure.type, failure.message) == (kind.__name__, text)
    error = limits.activity_error("Charge", failure)
    assert type(error) is kind
    assert isinstance(error, ActivityTimedOut)
    assert isinstance(error, ActivityFailed)
    assert str(error) == f"Charge failed after 2 attempts: {kind.__name__}: {text}"


def test_a_crash_is_no_timeout() -> None:
    error = limits.activity_error("Charge", limits.crashed(TASK, "host-7"))
    assert type(error) is ActivityCrashed
    assert error.message == "the worker host-7 fell silent in attempt 2: its lease ran out"


def test_an_error_of_user_code_is_not_mistaken_for_one_of_the_runtime() -> None:
    own = Failure("HeartbeatTimeout", "the monitor is silent", stack="monitor.py:3, in watch")
    assert type(limits.activity_error("Watch", own)) is ActivityFailed
    assert type(limits.activity_error("Watch", Failure("Boom", "x"))) is ActivityFailed


def test_a_log_keeps_the_first_attempt_and_the_last_nineteen() -> None:
    log: tuple[Attempt, ...] = ()
    for number in range(1, 51):
        log = limits.logged(log, Attempt(number, Ending.CRASHED))
        assert [attempt.number for attempt in log] == [1, *range(max(2, number - 18), number + 1)][:number]
    assert len(log) == 20


def test_a_log_keeps_what_an_error_said_and_not_where() -> None:
    failure = Failure("Boom", "x" * 5_000, stack="a.py:1", attempts=1, cause=Failure("Cause", "y"))
    (attempt,) = limits.logged((), Attempt(1, Ending.FAILED, failure=failure))
    assert attempt.failure == Failure("Boom", "x" * 1_000 + "… (4000 more characters)")


def test_what_attempts_were_survives_the_wire_and_costs_nothing_when_there_were_none() -> None:
    log = limits.logged((), Attempt(1, Ending.TIMED_OUT, "host-7", 5, 9, limits.timed_out(HeartbeatTimeout, TASK, 1)))
    task = Task("one", "x", 4, "Charge", Arguments(), TASK.options, attempt=2, log=log, waiting_since=3)
    assert decode_task(encode(task)) == task
    assert encode(Task("one", "x", 4, "Charge", Arguments())) == (
        b'{"type":"Task","instance":"one","execution":"x","seq":4,"name":"Charge","call":{}}'
    )
