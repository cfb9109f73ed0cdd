"""Compare what a replay asks for with what the history says it asked for.

Commands of one step are matched as a multiset, first in first out: their order within a step may differ between
Python versions (`gather` of `wait_for`), and what they are called by, seq, is taken from the history.

A set has another order in every process, and JSON has arrays only. So where no command says exactly what the history
says, one will do that says it in another order.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
from msgspec import Raw

from redurable.core.commands import (
    CancelActivity,
    CancelExecution,
    CancelSubOrchestration,
    CancelTimer,
    Command,
    Complete,
    ContinueAsNew,
    CreateTimer,
    Fail,
    ScheduleActivity,
    ScheduleOrchestration,
    ScheduleSubOrchestration,
    SendEvent,
)
from redurable.core.events import (
    ActivityCancelRequested,
    ActivityScheduled,
    DecisionEvent,
    EventSent,
    ExecutionCanceled,
    ExecutionCompleted,
    ExecutionContinuedAsNew,
    ExecutionFailed,
    OrchestrationScheduled,
    SubOrchestrationCancelRequested,
    SubOrchestrationScheduled,
    TimerCanceled,
    TimerCreated,
)
from redurable.core.issued import Issued
from redurable.core.values import ABSENT, Arguments
from redurable.errors import NondeterminismError

_SHOWN = 120


def match(expected: Sequence[DecisionEvent], issued: Sequence[Issued], position: int) -> list[Issued]:
    """The issued command behind each expected event, in the order of the events.

    `position` is that of the first expected event in the history. Raises `NondeterminismError`, naming the event, the
    command, the position and the source line.
    """
    left = list(issued)
    found: list[Issued] = []
    start = 0
    for offset, event in enumerate(expected):
        at = _find(event, left, start)
        if at is None:
            raise _difference(position + offset, event, left[start] if start < len(left) else None)
        if at == start:
            start += 1
            found.append(left[at])
        else:
            found.append(left.pop(at))
    if start < len(left):
        raise _difference(position + len(expected), None, left[start])
    return found


def _find(event: DecisionEvent, left: list[Issued], start: int) -> int | None:
    exactly = (at for at in range(start, len(left)) if _same(event, left[at].command, operator.eq))
    loosely = (at for at in range(start, len(left)) if _same(event, left[at].command, _alike))
    at = next(exactly, None)
    return next(loosely, None) if at is None else at


def _same(event: DecisionEvent, command: Command, says: Callable[[Any, Any], bool]) -> bool:
    """`says(made, asked)` compares what was passed."""
    match event, command:
        case (ActivityScheduled() as made, ScheduleActivity() as asked):
            return made.name == asked.name and says(made.call, asked.call)
        case (TimerCreated() as made, CreateTimer() as asked):
            return made.due == asked.due
        case (TimerCanceled() as made, CancelTimer() as asked):
            return made.seq == asked.seq
        case (ActivityCancelRequested() as made, CancelActivity() as asked):
            return made.seq == asked.seq
        case (SubOrchestrationCancelRequested() as made, CancelSubOrchestration() as asked):
            return made.seq == asked.seq
        case (SubOrchestrationScheduled() as made, ScheduleSubOrchestration() as asked):
            given = not asked.child.instance or made.instance == asked.child.instance
            return given and made.name == asked.name and says(made.call, asked.call)
        case (OrchestrationScheduled() as made, ScheduleOrchestration() as asked):
            return (made.name, made.instance) == (asked.name, asked.child.instance) and says(made.call, asked.call)
        case (EventSent() as made, SendEvent() as asked):
            return (made.instance, made.name) == (asked.instance, asked.name) and says(made.data, asked.data)
        case _:
            return _same_end(event, command, says)


def _same_end(event: DecisionEvent, command: Command, says: Callable[[Any, Any], bool]) -> bool:
    match event, command:
        case (ExecutionCompleted() as made, Complete() as asked):
            return says(made.result, asked.result)
        case (ExecutionFailed() as made, Fail() as asked):
            return made.failure.type == asked.failure.type
        case (ExecutionCanceled() as made, CancelExecution() as asked):
            return made.reason == asked.reason
        case (ExecutionContinuedAsNew() as made, ContinueAsNew() as asked):
            return says(made.call, asked.call)
        case _:
            return False


def _alike(made: Arguments | Raw, asked: Arguments | Raw) -> bool:
    """Whether two payloads, or the inputs of two calls, are the same but for the order within arrays."""
    if isinstance(made, Raw) or isinstance(asked, Raw):
        return isinstance(made, Raw) and isinstance(asked, Raw) and _unordered(made) == _unordered(asked)
    if made.input is not ABSENT and asked.input is not ABSENT:
        return _alike(made.input, asked.input)
    if len(made.args) != len(asked.args) or made.kwargs.keys() != asked.kwargs.keys():
        return False
    pairs = [
        *zip(made.args, asked.args, strict=True),
        *((made.kwargs[name], asked.kwargs[name]) for name in made.kwargs),
    ]
    return (made.input is ABSENT) == (asked.input is ABSENT) and all(_alike(*pair) for pair in pairs)


def _unordered(payload: Raw) -> str:
    return _text(msgspec.json.decode(payload))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        return "{" + ",".join(sorted(f"{name!r}:{_text(item)}" for name, item in members)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(sorted(map(_text, cast("list[Any]", value)))) + "]"
    return repr(value)


def _difference(position: int, event: DecisionEvent | None, issued: Issued | None) -> NondeterminismError:
    expected, asked, place = "", "", ""
    said, found = f"the history has no event {position}", "the code asked for nothing"
    if event is not None:
        expected = describe(event)
        said = f"event {position} of the history is {expected}"
    if issued is not None:
        asked, place = describe(issued.command), issued.place
        found = f"the code asked for {asked} at {place}"
    advice = "Orchestrators must do the same again when they are replayed: was the code changed?"
    return NondeterminismError(f"{said}, but {found}. {advice}", position, expected, asked, place)


def describe(item: DecisionEvent | Command) -> str:
    """One line that names an event or a command with what distinguishes it."""
    words = [type(item).__name__]
    child = getattr(item, "child", None)
    for field in ("seq", "name", "instance", "due"):
        value = getattr(item, field, None) or getattr(child, field, None)
        if value:
            words.append(f"{field}={value!r}")
    call = getattr(item, "call", None)
    if isinstance(call, Arguments):
        words.append(_shown(call))
    failure = getattr(item, "failure", None)
    if failure is not None:
        words.append(f"{failure.type}: {failure.message}"[:_SHOWN])
    return " ".join(words)


def _shown(call: Arguments) -> str:
    if call.input is not ABSENT:
        text = bytes(call.input).decode()
    else:
        given = [bytes(value).decode() for value in call.args]
        given += [f"{name}={bytes(value).decode()}" for name, value in call.kwargs.items()]
        text = ", ".join(given)
    return f"({text[:_SHOWN]}…)" if len(text) > _SHOWN else f"({text})"
