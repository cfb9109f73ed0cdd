"""How long a history may become: it lies in the server's memory, and every worker that is new to it replays it whole.

At a fifth of the cap the runtime suggests to continue as new. Whether it does is written into the event of that turn,
because the cap is a setting: a replay must find the same answer under every value of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from redurable.core.events import (
    ActivityCompleted,
    ActivityFailed,
    ActivityScheduled,
    Event,
    EventRaised,
    EventSent,
    ExecutionCompleted,
    ExecutionContinuedAsNew,
    ExecutionFailed,
    ExecutionStarted,
    OrchestrationScheduled,
    SubOrchestrationCompleted,
    SubOrchestrationFailed,
    SubOrchestrationScheduled,
)
from redurable.core.sizes import call_size, tags_size
from redurable.core.values import Failure

MAX_EVENTS = 50_000
MAX_BYTES = 50 * 1024 * 1024
SUGGESTED_AT = 0.2
"""At this fraction of the cap it is time to continue as new."""

TOO_LONG = "HistoryLimitExceeded"
"""The type of the failure of an execution whose history became too long."""

_BESIDE = 100
"""Bytes of an event beside its payload, about."""


class HistoryCap(Struct, frozen=True):
    """The most events of an execution, and the most bytes, counted as `event_size` does."""

    events: int = MAX_EVENTS
    size: int = MAX_BYTES

    def filled(self, events: int, size: int) -> float:
        """Which fraction of the cap a history has reached, in events or in bytes, whichever is more."""
        return max(events / self.events, size / self.size)

    def is_near(self, events: int, size: int) -> bool:
        """True from a fifth of the cap on."""
        return events >= self.events * SUGGESTED_AT or size >= self.size * SUGGESTED_AT

    def is_passed(self, events: int, size: int) -> bool:
        """True when a history is too long."""
        return events > self.events or size > self.size

    def warning(self, name: str, events: int, size: int) -> str:
        """What is said of a history that has become long."""
        return (
            f"{name}: the history has {events:,} events and about {size:,} bytes, a fifth of max_history_events "
            f"({self.events:,}) or max_history_bytes ({self.size:,}): call ctx.continue_as_new() soon"
        )


DEFAULT_CAP = HistoryCap()


def event_size(event: Event) -> int:
    """The bytes of an event: those of its payloads and errors, and 100 for the rest."""
    measure = _PAYLOADS.get(type(event))
    return _BESIDE if measure is None else _BESIDE + measure(event)


def _call(event: Any) -> int:
    return call_size(event.call)


def _child(event: Any) -> int:
    return call_size(event.call) + memoryview(event.memo).nbytes + tags_size(event.tags)


def _result(event: Any) -> int:
    return memoryview(event.result).nbytes


def _data(event: Any) -> int:
    return memoryview(event.data).nbytes


def _started(event: Any) -> int:
    return call_size(event.call) + sum(_BESIDE + _data(kept) for kept in event.kept_events)


def _failed(event: Any) -> int:
    size, failure = 0, event.failure
    while failure is not None:
        size += _text(failure)
        failure = failure.cause
    return size


def _text(failure: Failure) -> int:
    return len(failure.type) + len(failure.message) + len(failure.stack)


_PAYLOADS: dict[type, Callable[[Any], int]] = {
    ExecutionStarted: _started,
    ExecutionContinuedAsNew: _call,
    ActivityScheduled: _call,
    SubOrchestrationScheduled: _child,
    OrchestrationScheduled: _call,
    ActivityCompleted: _result,
    SubOrchestrationCompleted: _result,
    ExecutionCompleted: _result,
    EventRaised: _data,
    EventSent: _data,
    ActivityFailed: _failed,
    SubOrchestrationFailed: _failed,
    ExecutionFailed: _failed,
}
