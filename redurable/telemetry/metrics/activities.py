"""Metrics of activities, and of how long work waits."""

from __future__ import annotations

import builtins
from typing import Final

from redurable import errors, facts
from redurable.telemetry.metrics.board import (
    ACTIVITY,
    STREAM,
    Board,
    Handlers,
    Label,
    Metric,
    counter,
    histogram,
)

ACTIVITY_BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300, 1800)
WAIT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10, 60, 300, 1800)
OUTCOMES = ("ok", "error", "timeout", "crashed", "non_retryable", "canceled", "lost", "later", "unknown")
ERRORS = tuple(
    sorted(
        name
        for module in (builtins, errors)
        for name, found in vars(module).items()
        if isinstance(found, type) and issubclass(found, BaseException)
    )
)
"""The classes that may become label values: those of the language and of redurable."""

TABLE: Final[tuple[Metric, ...]] = (
    counter("activity_attempts", "Attempts that ended.", ACTIVITY, Label("outcome", OUTCOMES)),
    counter("activity_retries", "Attempts that are tried again.", ACTIVITY),
    histogram("activity_duration_seconds", "How long attempts ran.", ACTIVITY_BUCKETS, ACTIVITY),
    counter(
        "activity_failures",
        "Attempts that failed, by the class of the error.",
        ACTIVITY,
        Label("error", ERRORS, other="_other", seen=True),
    ),
    histogram(
        "schedule_to_start_seconds",
        "How long work waited in its queue: activities, and turns of orchestrators.",
        WAIT_BUCKETS,
        STREAM,
        Label("kind", ("activity", "orchestrator")),
    ),
)


class Activities:
    """Counts attempts."""

    def __init__(self, board: Board) -> None:
        self._attempts, self._retries, self._ran, self._failures, self._waited = board.made(TABLE)

    def handlers(self) -> Handlers:
        """Fact -> what counts it."""
        return {
            facts.ActivityAttempted: self._on_attempt,
            facts.TaskStarted: self._on_task,
            facts.TurnsTaken: self._on_turns,
        }

    def _on_attempt(self, fact: facts.ActivityAttempted) -> None:
        self._attempts.add(1, fact.name, fact.outcome)
        if fact.seconds:  # What did not run here has no duration.
            self._ran.observe(fact.seconds, fact.name, of=fact.instance, trace=fact.trace_id)
        if fact.retried:
            self._retries.add(1, fact.name)
        if fact.error:
            self._failures.add(1, fact.name, fact.error)

    def _on_task(self, fact: facts.TaskStarted) -> None:
        self._waited.observe(fact.waited, fact.queue, "activity", of=fact.instance, trace=fact.trace_id)

    def _on_turns(self, fact: facts.TurnsTaken) -> None:
        for taken in fact.turns:
            if taken.waited >= 0:
                self._waited.observe(taken.waited, facts.READY, "orchestrator", of=taken.instance, trace=taken.trace_id)
