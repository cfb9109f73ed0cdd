"""Histories as lines of JSON, and whether code still does what they say.

A line holds some events of an execution, from a position on: what `redurable history --export` and the archive write.
Lines of another type are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from redurable.core.codec import Unreadable, decode_event, encode
from redurable.core.definition import Definition
from redurable.core.events import (
    DecisionEvent,
    Event,
    ExecutionCanceled,
    ExecutionCancelRequested,
    ExecutionFailed,
    ExecutionReset,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionTerminated,
)
from redurable.core.history_cap import TOO_LONG
from redurable.core.replay import Replay
from redurable.core.settle import TIMED_OUT
from redurable.errors import InvalidHistory, InvalidPayload, NondeterminismError, TurnLimitExceeded

VERSION = 1
HISTORY = "history"

_BEGINNINGS = (ExecutionStarted, ExecutionRewound, ExecutionReset)
_ENDS_UNBEGUN = (ExecutionCancelRequested, ExecutionCanceled, ExecutionTerminated)
_LIMITS = (TOO_LONG, TurnLimitExceeded.__name__, InvalidPayload.__name__)


class Recorded(Struct, frozen=True):
    """The history of an execution, all of it or its beginning."""

    instance: str
    execution: str
    events: tuple[Event, ...]

    @property
    def name(self) -> str:
        """The orchestrator's name."""
        started = self.events[0]
        assert isinstance(started, ExecutionStarted), "it was checked when it was read"
        return started.name


class _Line(Struct):
    v: int
    type: str
    instance: str = ""
    execution: str = ""
    position: int = 0
    events: list[Raw] = []


_decoder = msgspec.json.Decoder(_Line)


def line_of(instance: str, execution: str, position: int, events: Sequence[Event]) -> dict[str, Any]:
    """Events of a history, from a position on, as a value to be written as a line of JSON."""
    line = {"v": VERSION, "type": HISTORY, "instance": instance, "execution": execution, "position": position}
    return {**line, "events": [Raw(encode(event)) for event in events]}


def read_lines(lines: Iterable[bytes]) -> list[Recorded]:
    """The histories in these lines, in the order of their beginnings; of one that was written again, the last.

    Raises `InvalidHistory`, which names the line.
    """
    found: dict[tuple[str, str], list[Event]] = {}
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            line = _decoder.decode(text)
            if line.v != VERSION:
                raise ValueError(f"it is of version {line.v}, this release reads {VERSION}")
            if line.type != HISTORY:
                continue
            known = found.setdefault((line.instance, line.execution), [])
            if line.position > len(known):
                raise ValueError(f"it begins at event {line.position}, and the lines before have {len(known)}")
            known[line.position :] = [decode_event(bytes(event)) for event in line.events]
        except (msgspec.DecodeError, Unreadable, ValueError) as error:
            raise InvalidHistory(f"line {number} holds no events of a history: {error}") from None
    return [checked(Recorded(*key, tuple(events))) for key, events in found.items() if events]


def checked(recorded: Recorded) -> Recorded:
    """It, when it has a beginning. Raises `InvalidHistory`."""
    if not recorded.events or not isinstance(recorded.events[0], ExecutionStarted):
        raise InvalidHistory(f"the history of instance {recorded.instance!r} does not begin with ExecutionStarted")
    return recorded


def replay(definition: Definition, recorded: Recorded) -> None:
    """Run the code along the history. Raises `NondeterminismError` where they differ."""
    started = recorded.events[0]
    assert isinstance(started, ExecutionStarted), "it was checked when it was read"
    decided, settled = _decided(recorded.events)
    if not decided:
        return
    replay = Replay(definition, recorded.instance, started)
    try:
        replay.catch_up(decided)
    except NondeterminismError as error:
        if error.position < settled:
            raise
    finally:
        replay.evict()


def _decided(events: Sequence[Event]) -> tuple[Sequence[Event], int]:
    """What the code was told, and has decided: without an end that came from outside, and nothing when it ended before
    it ever ran. And up to which event they have to agree: what a limit ended is cut off in its last step, or differs
    there from what the code does without that limit."""
    unbegun = isinstance(events[-1], _ENDS_UNBEGUN)
    if unbegun and all(isinstance(event, _BEGINNINGS + _ENDS_UNBEGUN) for event in events):
        return (), 0
    last = events[-1]
    if isinstance(last, ExecutionFailed) and last.failure == TIMED_OUT:
        return events[:-1], len(events)
    if isinstance(last, ExecutionFailed) and last.failure.type in _LIMITS:
        told = max(at for at, event in enumerate(events) if not isinstance(event, DecisionEvent))
        return events[:-1], told + 1
    return events, len(events) + 1
