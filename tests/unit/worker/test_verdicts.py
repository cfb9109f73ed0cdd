"""What the end of an attempt means: pure decisions about retries, timeouts, crashes, and what is told of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from redurable import Backoff, HeartbeatTimeout, RetryAfter, ScheduleToCloseTimeout, StartToCloseTimeout
from redurable.authoring.activity_context import Pulse
from redurable.core.messages import ActivityFailure, ActivityResult
from redurable.core.retry import LONGEST_MS
from redurable.core.values import (
    ABSENT,
    ActivityOptions,
    Arguments,
    Attempt,
    Ending,
    Failure,
    Held,
    Retry,
    Task,
    Timeouts,
)
from redurable.errors import ActivityTimedOut
from redurable.store.port import TaskEnd, TaskLease
from redurable.worker.verdicts import (
    Begun,
    fell_silent,
    left_open,
    not_completed,
    put_back,
    raised,
    ran_out,
    returned,
    too_late,
)

SCHEDULED = 1_000_000
NOW = 1_010_000
DETAILS = Raw(b'{"line":7}')


def lease(*, retry: Retry | None = None, holder: str = "", **fields: Any) -> TaskLease:
    timeouts = Timeouts(**{name: fields.pop(name) for name in Timeouts.__struct_fields__ if name in fields})
    options = ActivityOptions(retry=retry or Retry(), timeouts=timeouts)
    task = Task("one", "x", 4, "Charge", Arguments(), options, scheduled_at=SCHEDULED, **fields)
    return TaskLease(0, "default", "1-1", task, queued_at=SCHEDULED + 5, holder=holder)


def begun(held: TaskLease, details: Raw = ABSENT, stored: Raw = ABSENT) -> Begun:
    pulse = Pulse()
    pulse.details, pulse.stored = details, stored
    return Begun(held, "w1", SCHEDULED + 7, pulse)


def failed(end: TaskEnd) -> ActivityFailure:
    assert end.retry is None
    assert isinstance(end.message, ActivityFailure)
    assert (end.message.execution, end.message.seq) == ("x", 4)
    return end.message


def again(end: TaskEnd) -> Task:
    assert end.message is None
    assert end.retry is not None
    return end.retry


def crash(number: int = 1) -> Attempt:
    return Attempt(number, Ending.CRASHED, "w0", 1, 2)


def test_a_result_says_who_had_it_and_what_was_before() -> None:
    end, outcome = returned(begun(lease(attempt=2, log=(crash(),))), Raw(b"7"))
    assert outcome == "ok"
    assert end.message == ActivityResult(
        execution="x", seq=4, result=Raw(b"7"), attempts=2, worker="w1", started=SCHEDULED + 7, log=(crash(),)
    )


def test_an_error_is_tried_again_with_what_is_known_of_it() -> None:
    held = lease(waiting_since=3)
    held = replace(held, task=replace(held.task, heartbeat=Raw(b"1")))
    end, outcome = raised(begun(held), ValueError("no"), NOW)
    task = again(end)
    assert (outcome, end.delay_ms, task.attempt, task.waiting_since) == ("error", 1_000, 2, 0)
    (attempt,) = task.log
    assert (attempt.number, attempt.outcome, attempt.worker) == (1, Ending.FAILED, "w1")
    assert (attempt.started, attempt.ended) == (SCHEDULED + 7, NOW)
    assert attempt.failure == Failure("ValueError", "no")
    assert task.heartbeat == Raw(b"1")
    assert (task.options, task.call, task.idempotency_key) == (held.task.options, held.task.call, "one:x:4")


def test_the_last_error_is_told_with_those_before_it() -> None:
    end, outcome = raised(begun(lease(attempt=3, log=(crash(1), crash(2)))), ValueError("no"), NOW)
    message = failed(end)
    assert outcome == "error"
    assert (message.failure.type, message.failure.attempts) == ("ValueError", 3)
    assert (message.worker, message.started, message.log) == ("w1", SCHEDULED + 7, (crash(1), crash(2)))


@pytest.mark.parametrize("final", [True, False])
def test_an_error_that_would_come_again_ends_the_call(final: bool) -> None:
    policy = Retry(non_retryable=() if final else ("ValueError",))
    end, outcome = raised(begun(lease(retry=policy)), ValueError("no"), NOW, final=final)
    assert (outcome, failed(end).failure.attempts) == ("non_retryable", 1)


@pytest.mark.parametrize("kind", [StartToCloseTimeout, HeartbeatTimeout])
def test_an_attempt_that_timed_out_is_tried_again(kind: type[ActivityTimedOut]) -> None:
    held = lease(start_to_close=30_000, heartbeat=5_000)
    end, outcome = ran_out(begun(held, details=DETAILS, stored=Raw(b"0")), kind, NOW, Failure("Cleanup", "bad"))
    task = again(end)
    assert (outcome, end.delay_ms) == ("timeout", 1_000)
    (attempt,) = task.log
    assert attempt.outcome is Ending.TIMED_OUT
    assert attempt.failure is not None
    assert attempt.failure.type == kind.__name__
    # The next attempt gets the newest details; the store is told to delete those that it has.
    assert (task.heartbeat, end.lease.heartbeat) == (DETAILS, Raw(b"0"))


@pytest.mark.parametrize("name", ["HeartbeatTimeout", "ActivityTimedOut", "redurable.ActivityTimedOut"])
def test_a_policy_may_exclude_timeouts(name: str) -> None:
    held = lease(heartbeat=5_000, retry=Retry(non_retryable=(name,)))
    end, outcome = ran_out(begun(held), HeartbeatTimeout, NOW)
    assert (outcome, failed(end).failure.type) == ("timeout", "HeartbeatTimeout")


def test_the_limit_of_the_call_ends_it_whatever_the_policy_says() -> None:
    held = lease(schedule_to_close=10_000, attempt=2, log=(crash(),), retry=Retry(max_attempts=100))
    message = failed(ran_out(begun(held), ScheduleToCloseTimeout, NOW)[0])
    assert (message.failure.type, message.failure.attempts, message.worker) == ("ScheduleToCloseTimeout", 2, "w1")
    assert message.log == (crash(),)


def test_no_retry_is_planned_beyond_the_limit_of_the_call() -> None:
    held = lease(schedule_to_close=10_999)
    message = failed(raised(begun(held), ValueError("no"), NOW)[0])
    assert (message.failure.type, message.failure.attempts) == ("ScheduleToCloseTimeout", 1)
    assert message.failure.cause is not None
    assert message.failure.cause.type == "ValueError"
    assert [(attempt.number, attempt.outcome) for attempt in message.log] == [(1, Ending.FAILED)]
    assert (message.worker, message.started) == ("", 0)
    assert again(raised(begun(lease(schedule_to_close=11_001)), ValueError("no"), NOW)[0]).attempt == 2


def test_after_a_first_crash_the_next_attempt_follows_at_once() -> None:
    held = replace(lease(holder="w0"), heartbeat=DETAILS)
    end, outcome = fell_silent(held, NOW)
    task = again(end)
    assert (outcome, end.delay_ms, task.attempt, task.heartbeat) == ("crashed", 0, 2, DETAILS)
    assert task.log == (Attempt(1, Ending.CRASHED, "w0", SCHEDULED + 5, NOW),)
    assert end.lease.heartbeat == DETAILS


def test_further_crashes_wait_as_the_policy_says_and_keep_what_older_attempts_said() -> None:
    held = lease(holder="w0", attempt=2, log=(crash(),))
    end, _ = fell_silent(replace(held, task=replace(held.task, heartbeat=DETAILS)), NOW)
    assert (end.delay_ms, again(end).attempt, again(end).heartbeat) == (2_000, 3, DETAILS)


def test_when_no_attempt_is_left_a_crash_is_the_outcome() -> None:
    message = failed(fell_silent(lease(holder="w0", attempt=3, log=(crash(1), crash(2))), NOW)[0])
    assert (message.failure.type, message.failure.attempts, message.worker) == ("ActivityCrashed", 3, "")
    assert [attempt.number for attempt in message.log] == [1, 2, 3]


@pytest.mark.parametrize("name", ["ActivityCrashed", "ActivityFailed"])
def test_a_policy_may_exclude_crashes(name: str) -> None:
    message = failed(fell_silent(lease(holder="w0", retry=Retry(non_retryable=(name,))), NOW)[0])
    assert (message.failure.type, message.failure.attempts) == ("ActivityCrashed", 1)


def test_a_retry_whose_wait_is_limited_goes_by_way_of_the_timers() -> None:
    end, _ = fell_silent(lease(holder="w0", schedule_to_start=60_000), NOW)
    assert end.delay_ms == 1


def test_a_task_that_waited_for_too_long_is_not_begun() -> None:
    held = lease(schedule_to_start=1_000, attempt=2, log=(crash(),))
    assert too_late(held, SCHEDULED + 5 + 999) is None
    verdict = too_late(held, SCHEDULED + 5 + 1_000)
    assert verdict is not None
    message = failed(verdict[0])
    assert (verdict[1], message.failure.type, message.failure.attempts) == ("timeout", "ScheduleToStartTimeout", 1)
    assert (message.worker, message.log) == ("", (crash(),))
    # What a retry or a hand-over put into the queue anew waits anew.
    assert too_late(replace(held, queued_at=NOW), NOW) is None
    assert too_late(replace(held, queued_at=NOW, task=replace(held.task, waiting_since=1)), NOW) is not None


def test_a_task_of_a_call_that_must_be_closed_is_not_begun() -> None:
    held = lease(schedule_to_close=10_000)
    assert too_late(held, NOW - 1) is None
    verdict = too_late(held, NOW)
    assert verdict is not None
    assert (failed(verdict[0]).failure.type, failed(verdict[0]).failure.attempts) == ("ScheduleToCloseTimeout", 0)
    assert too_late(lease(), NOW + 10**12) is None


def test_what_nobody_here_knows_goes_back_and_goes_on_waiting() -> None:
    end, outcome = put_back(lease(), NOW, elsewhere=False)
    assert (outcome, again(end), end.delay_ms) == ("unknown", lease().task, 10_000)
    delays = [put_back(lease(), NOW + number, elsewhere=True)[0].delay_ms for number in range(200)]
    assert (min(delays) >= 500, max(delays) <= 1_000, len(set(delays)) > 100) == (True, True, True)
    assert 10 <= put_back(lease(), lease().task.scheduled_at, elsewhere=True)[0].delay_ms <= 20
    held = lease(schedule_to_start=20_000)
    end, _ = put_back(held, NOW + 4_000, elsewhere=False)
    assert end.delay_ms == 6_005
    waiting = again(put_back(held, NOW, elsewhere=False)[0])
    assert (waiting.waiting_since, waiting.attempt) == (SCHEDULED + 5, 1)
    later = replace(held, task=waiting, queued_at=NOW)
    assert again(put_back(later, NOW + 5_000, elsewhere=False)[0]).waiting_since == SCHEDULED + 5
    end, outcome = put_back(later, SCHEDULED + 20_005, elsewhere=False)
    assert (outcome, failed(end).failure.type) == ("timeout", "ScheduleToStartTimeout")


@pytest.mark.parametrize(("ended", "tried_again"), [(9_000, True), (9_001, False)])
def test_no_attempt_begins_after_the_retry_timeout(ended: int, tried_again: bool) -> None:
    policy = Retry(max_attempts=9, initial_ms=1_000, backoff=Backoff.FIXED, retry_timeout_ms=10_000)
    end, outcome = raised(begun(lease(retry=policy)), ValueError("no"), SCHEDULED + ended)
    assert (end.retry is not None, outcome) == (tried_again, "error")
    if not tried_again:
        message = failed(end)
        assert (message.failure.type, message.failure.attempts, message.worker) == ("ValueError", 1, "w1")


def test_an_error_may_say_when_to_try_again() -> None:
    policy = Retry(max_attempts=3, initial_ms=1_000, retry_timeout_ms=60_000)
    held = lease(retry=policy)
    assert raised(begun(held), RetryAfter(timedelta(seconds=7)), NOW)[0].delay_ms == 7_000
    assert failed(raised(begun(held), RetryAfter(timedelta(seconds=70)), NOW)[0]).failure.type == "RetryAfter"
    assert failed(raised(begun(lease(retry=Retry(max_attempts=1))), RetryAfter(timedelta(0)), NOW)[0])

    class Busy(OSError):
        retry_after: object = None

    busy = Busy("busy")
    for asked, delay in ((2, 2_000), (0.0004, 1), (0, 0), (timedelta(minutes=1), 60_000)):
        busy.retry_after = asked
        assert raised(begun(lease()), busy, NOW)[0].delay_ms == delay
    for nonsense in (None, "5", -1, True, float("inf"), float("nan"), busy.args):
        busy.retry_after = nonsense
        assert raised(begun(lease()), busy, NOW)[0].delay_ms == 1_000


def test_an_attempt_that_is_left_open_is_held_for_as_long_as_it_may_take() -> None:
    cases: list[tuple[dict[str, Any], int]] = [
        ({"start_to_close": 20_000}, 10_007),
        ({"heartbeat": 500}, 500),
        ({}, LONGEST_MS),
    ]
    for limits, delay in cases:
        end, outcome = left_open(begun(lease(attempt=2, log=(crash(),), **limits), details=DETAILS), NOW)
        task = again(end)
        assert (outcome, end.delay_ms, task.attempt, task.log, task.heartbeat) == (
            "later",
            delay,
            2,
            (crash(),),
            DETAILS,
        )
        assert task.held == Held("1-1", "w1", SCHEDULED + 7, NOW)


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"start_to_close": 10, "heartbeat": 9_000}, "StartToCloseTimeout"),
        ({"start_to_close": 90_000, "heartbeat": 10}, "HeartbeatTimeout"),
    ],
)
def test_one_that_nobody_has_completed_in_time_has_failed(limits: dict[str, Any], name: str) -> None:
    held = Held("1-1", "w0", SCHEDULED, SCHEDULED + 1)
    for judge in (not_completed, fell_silent):
        end, outcome = judge(lease(held=held, **limits), NOW)
        task = again(end)
        (attempt,) = task.log
        assert (outcome, end.delay_ms, task.attempt, task.held) == ("timeout", 1_000, 2, None)
        assert (attempt.outcome, attempt.worker, attempt.failure and attempt.failure.type) == (
            Ending.TIMED_OUT,
            "w0",
            name,
        )
    message = failed(
        not_completed(lease(held=held, retry=Retry(non_retryable=("ActivityTimedOut",)), **limits), NOW)[0]
    )
    assert (message.failure.type, message.worker, message.started) == (name, "w0", SCHEDULED)
