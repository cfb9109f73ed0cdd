"""What a turn of a traced execution leaves for its trace: contexts for what it starts, and calls that are over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from redurable.core.events import (
    ActivityScheduled,
    Event,
    ExecutionStarted,
    SubOrchestrationScheduled,
    TimerCreated,
)
from redurable.core.traces import below, span_id
from redurable.core.values import Trace

Timed: TypeAlias = TimerCreated | SubOrchestrationScheduled
Over: TypeAlias = tuple[Timed, Event | None]
"""A timer or a child, and the event that ended it (None: the end of the execution did)."""


def own(started: ExecutionStarted) -> Trace | None:
    """What the calls of the execution belong below: its own span."""
    return None if started.trace is None else below(started.trace, span_id(started.execution))


class Trail:
    """`trace`: what the tasks of the execution belong below."""

    def __init__(self, execution: str, trace: Trace) -> None:
        self.trace = trace
        self._execution = execution
        self._over: list[Over] = []

    @classmethod
    def of(cls, started: ExecutionStarted | None) -> Trail | None:
        """None when the execution has no trace, or has not begun."""
        trace = None if started is None else own(started)
        return None if started is None or trace is None else cls(started.execution, trace)

    def call(self, seq: int) -> Trace:
        """What another instance is given with a call: it belongs below the span of that call."""
        return below(self.trace, span_id(self._execution, seq))

    def note(self, event: Event, calls: Mapping[int, ActivityScheduled | Timed]) -> None:
        """An event is about to be applied; these calls are open before it."""
        made = calls.get(getattr(event, "seq", 0))
        if isinstance(made, Timed):
            self._over.append((made, event))

    def forget(self) -> None:
        """The events of this turn are dropped."""
        self._over.clear()

    def over(self, left: Mapping[int, ActivityScheduled | Timed]) -> Iterator[Over]:
        """The timers and children that are over; `left` are the calls that were open when the execution ended."""
        yield from self._over
        yield from ((made, None) for made in left.values() if isinstance(made, Timed))
