"""A history as it is shown: rows of attempts between events, in the order of time, wherever clocks disagree."""

from __future__ import annotations

from redurable.core.events import (
    ActivityAttemptCrashed,
    ActivityAttemptFailed,
    ActivityAttemptTimedOut,
    ActivityCanceled,
    ActivityCancelRequested,
    ActivityCompleted,
    ActivityFailed,
    ActivityScheduled,
    ActivityStarted,
    Event,
    EventRaised,
    ExecutionStarted,
    HistoryRow,
    TimerCreated,
)
from redurable.core.rows import history_rows
from redurable.core.values import Attempt, Ending, Failure

BEGIN = ExecutionStarted(at=100, name="P", execution="x")
BOOM = Failure("Boom", "no")
SLOW = Failure("StartToCloseTimeout", "too slow")


def short(rows: list[HistoryRow]) -> list[tuple[str, int, int]]:
    """(kind, seq, time) of each row."""
    return [(type(row).__name__, getattr(row, "seq", 0), row.at) for row in rows]


def test_a_history_without_workers_is_shown_as_it_is() -> None:
    events: list[Event] = [BEGIN, ActivityScheduled(at=100, seq=1, name="A"), ActivityCompleted(at=150, seq=1)]
    assert history_rows(events) == events
    assert history_rows([]) == []


def test_every_attempt_of_a_call_is_shown_before_its_outcome() -> None:
    log = (
        Attempt(1, Ending.CRASHED, "A", 110, 200),
        Attempt(2, Ending.FAILED, "B", 210, 220, BOOM),
        Attempt(3, Ending.TIMED_OUT, "B", 320, 400, SLOW),
    )
    outcome = ActivityCompleted(at=500, seq=1, attempts=4, worker="C", started=450, log=log)
    scheduled = ActivityScheduled(at=100, seq=1, name="A")
    assert history_rows([BEGIN, scheduled, outcome]) == [
        BEGIN,
        scheduled,
        ActivityStarted(at=110, seq=1, attempt=1, worker="A"),
        ActivityAttemptCrashed(at=200, seq=1, attempt=1),
        ActivityStarted(at=210, seq=1, attempt=2, worker="B"),
        ActivityAttemptFailed(at=220, seq=1, attempt=2, failure=BOOM),
        ActivityStarted(at=320, seq=1, attempt=3, worker="B"),
        ActivityAttemptTimedOut(at=400, seq=1, attempt=3, failure=SLOW),
        ActivityStarted(at=450, seq=1, attempt=4, worker="C"),
        outcome,
    ]


def test_so_is_every_attempt_of_a_call_that_was_cancelled() -> None:
    log = (Attempt(1, Ending.FAILED, "A", 110, 200, BOOM),)
    scheduled = ActivityScheduled(at=100, seq=1, name="A")
    requested = ActivityCancelRequested(at=300, seq=1)
    known = ActivityCanceled(at=320, seq=1, attempt=2, worker="B", started=250, log=log)
    assert history_rows([BEGIN, scheduled, requested, known]) == [
        BEGIN,
        scheduled,
        ActivityStarted(at=110, seq=1, attempt=1, worker="A"),
        ActivityAttemptFailed(at=200, seq=1, attempt=1, failure=BOOM),
        ActivityStarted(at=250, seq=1, attempt=2, worker="B"),
        requested,
        known,
    ]


def test_an_outcome_that_no_attempt_had_shows_only_those_before_it() -> None:
    failure = Failure("ScheduleToCloseTimeout", "late", attempts=1)
    outcome = ActivityFailed(at=500, seq=1, failure=failure, log=(Attempt(1, Ending.FAILED, "A", 110, 120, BOOM),))
    rows = history_rows([BEGIN, ActivityScheduled(at=100, seq=1, name="A"), outcome])
    assert short(rows)[2:] == [
        ("ActivityStarted", 1, 110),
        ("ActivityAttemptFailed", 1, 120),
        ("ActivityFailed", 1, 500),
    ]


def test_rows_of_parallel_calls_are_shown_in_the_order_of_time() -> None:
    rows = history_rows(
        [
            BEGIN,
            ActivityScheduled(at=100, seq=1, name="A"),
            ActivityScheduled(at=100, seq=2, name="B"),
            ActivityCompleted(at=200, seq=2, worker="w", started=130),
            EventRaised(at=220, name="Go"),
            ActivityCompleted(at=300, seq=1, attempts=2, worker="w", started=250, log=(
                Attempt(1, Ending.FAILED, "w", 120, 210),
            )),
        ]
    )  # fmt: skip
    assert short(rows) == [
        ("ExecutionStarted", 0, 100),
        ("ActivityScheduled", 1, 100),
        ("ActivityScheduled", 2, 100),
        ("ActivityStarted", 1, 120),
        ("ActivityStarted", 2, 130),
        ("ActivityCompleted", 2, 200),
        ("ActivityAttemptFailed", 1, 210),
        ("EventRaised", 0, 220),
        ("ActivityStarted", 1, 250),
        ("ActivityCompleted", 1, 300),
    ]


def test_no_clock_moves_a_row_out_of_its_call() -> None:
    """A worker whose clock is behind, a history whose clock is ahead, and an attempt whose start nobody knows."""
    events: list[Event] = [
        BEGIN,
        TimerCreated(at=100, seq=1, due=900),
        ActivityScheduled(at=100, seq=2, name="A"),
        TimerCreated(at=100, seq=3, due=900),
        ActivityCompleted(at=100, seq=2, attempts=3, worker="w", started=999, log=(
            Attempt(1, Ending.CRASHED, "w", 0, 50),
            Attempt(2, Ending.FAILED, "w", 7, 8),
        )),
    ]  # fmt: skip
    rows = history_rows(events)
    assert [type(row).__name__ for row in rows[3:]] == [
        "TimerCreated",
        "ActivityStarted",
        "ActivityAttemptCrashed",
        "ActivityStarted",
        "ActivityAttemptFailed",
        "ActivityStarted",
        "ActivityCompleted",
    ]
    assert {row.at for row in rows} == {100}
    assert [row for row in rows if row in events] == events


def test_a_page_that_begins_in_the_middle_of_a_call_is_shown_too() -> None:
    rows = history_rows([ActivityCompleted(at=300, seq=1, worker="w", started=250)])
    assert short(rows) == [("ActivityStarted", 1, 250), ("ActivityCompleted", 1, 300)]
