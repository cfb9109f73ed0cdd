"""A history as it is shown: beside its events, a row for the beginning and the end of every attempt of an activity.

The history itself has one event for the outcome of a call, with the attempts in it: a turn is taken, and replayed, for
what concerns the orchestrator, and for nothing else.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from redurable.core.events import (
    ActivityAttemptCrashed,
    ActivityAttemptFailed,
    ActivityAttemptTimedOut,
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityScheduled,
    ActivityStarted,
    AttemptRow,
    Event,
    HistoryRow,
)
from redurable.core.values import Attempt, Ending


def history_rows(events: Sequence[Event]) -> list[HistoryRow]:
    """The events of a history, unchanged and in their order, and between them rows of attempts, in the order of time.

    The rows of a call stand behind its `ActivityScheduled` and before its outcome, whatever the clocks of workers said.
    """
    times = [event.at for event in events]
    scheduled: dict[int, int] = {}
    behind: dict[int, list[AttemptRow]] = {}
    for index, event in enumerate(events):
        if isinstance(event, ActivityScheduled):
            scheduled[event.seq] = index
        elif isinstance(event, ActivityCompleted | ActivityFailed | ActivityCanceled) and (event.worker or event.log):
            first = scheduled.get(event.seq, index - 1)
            for row in _rows(event, times[first] if first >= 0 else 0):
                place = min(max(bisect_right(times, row.at) - 1, first), index - 1)
                behind.setdefault(place, []).append(row)
    if not behind:
        return list(events)
    return list(_merged(events, behind))


def _merged(events: Sequence[Event], behind: dict[int, list[AttemptRow]]) -> Iterator[HistoryRow]:
    yield from behind.get(-1, ())
    for index, event in enumerate(events):
        yield event
        yield from sorted(behind.get(index, ()), key=lambda row: row.at)


def _rows(event: ActivityCompleted | ActivityFailed | ActivityCanceled, begin: int) -> Iterator[AttemptRow]:
    """The attempts of one call; no row is before another that it follows, nor outside the call."""
    seq, at = event.seq, begin
    for attempt in event.log:
        at = min(max(at, attempt.started), event.at)
        yield ActivityStarted(at=at, seq=seq, attempt=attempt.number, worker=attempt.worker)
        at = min(max(at, attempt.ended), event.at)
        yield _end(attempt, at, seq)
    if event.worker:
        started = min(max(at, event.started), event.at)
        yield ActivityStarted(at=started, seq=seq, attempt=_last(event), worker=event.worker)


def _last(event: ActivityCompleted | ActivityFailed | ActivityCanceled) -> int:
    """The number of the attempt that ended with the call."""
    match event:
        case ActivityCompleted():
            return event.attempts
        case ActivityFailed():
            return event.failure.attempts
        case ActivityCanceled():
            return event.attempt


def _end(attempt: Attempt, at: int, seq: int) -> AttemptRow:
    match attempt.outcome:
        case Ending.FAILED:
            return ActivityAttemptFailed(at=at, seq=seq, attempt=attempt.number, failure=attempt.failure)
        case Ending.TIMED_OUT:
            return ActivityAttemptTimedOut(at=at, seq=seq, attempt=attempt.number, failure=attempt.failure)
        case Ending.CRASHED:
            return ActivityAttemptCrashed(at=at, seq=seq, attempt=attempt.number)
