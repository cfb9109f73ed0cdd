"""A history as Azure shows it (`historyEvents`): its event names, its casing, its way of merging two events into one.

An activity that has an outcome is one item, with the time at which it was scheduled; only those without outcome have an
item of their own for the scheduling. Inputs are JSON in a text, results are JSON. What Azure has no event for is left
out: cancelled calls and timers, requests to cancel, the attempts of activities.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Raw

from redurable.authoring.payloads import decode_any
from redurable.core import events as e
from redurable.core.values import ABSENT, Arguments, Failure, RuntimeStatus

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Item = dict[str, Any]


def history_events(rows: Iterable[e.HistoryRow], show_input: bool, show_output: bool) -> list[Item]:
    """The items, in the order of the history."""
    items: list[Item | None] = []
    scheduled: dict[int, int] = {}
    timers: dict[int, int] = {}
    for row in rows:
        if isinstance(row, e.TimerCreated):
            timers[row.seq] = row.due
        item = _item(row, timers)
        if item is None:
            continue
        if isinstance(row, e.ActivityScheduled | e.SubOrchestrationScheduled):
            scheduled[row.seq] = len(items)
        elif isinstance(row, _OUTCOMES) and row.seq in scheduled:
            _merge(item, items, scheduled.pop(row.seq))
        items.append(item)
        if isinstance(row, e.ExecutionTerminated):
            items.append(_stamped(row, "ExecutionCompleted", _end(RuntimeStatus.TERMINATED, row.reason or None)))
    hidden = {*(() if show_input else ("Input",)), *(() if show_output else ("Result",))}
    return [{name: value for name, value in item.items() if name not in hidden} for item in items if item]


def moment_text(milliseconds: int) -> str:
    """A time as .NET writes it: no digits of a second that say nothing."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    fraction = f"{milliseconds % 1000:03d}".rstrip("0")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' if fraction else ''}{fraction}Z"


def failed_text(name: str, failure: Failure | None) -> str:
    """What Azure has as the output of an orchestration that failed."""
    return f"Orchestrator function '{name}' failed: {failure.message if failure else ''}"


_OUTCOMES = (e.ActivityCompleted, e.ActivityFailed, e.SubOrchestrationCompleted, e.SubOrchestrationFailed)


def _merge(item: Item, items: list[Item | None], place: int) -> None:
    """Make one item of an outcome and what was scheduled."""
    scheduled, items[place] = items[place], None
    if scheduled is None:
        return
    item["ScheduledTime"] = scheduled["Timestamp"]
    item["FunctionName"] = scheduled["Name"]
    item["Input"] = scheduled["Input"]
    if "Reason" in item:
        kind = "Orchestrator" if item["EventType"].startswith("Sub") else "Activity"
        item["Reason"] = f"{kind} function '{scheduled['Name']}' failed: {item['Reason']}"


def _item(row: e.HistoryRow, timers: dict[int, int]) -> Item | None:
    named = _begun(row) or _settled(row) or _told(row) or _ended(row)
    if isinstance(row, e.TimerFired):
        named = "TimerFired", {"FireAt": moment_text(timers.get(row.seq, row.at))}
    if named is None:
        return None
    return _stamped(row, *named)


def _stamped(row: e.HistoryRow, kind: str, fields: Item) -> Item:
    return {"EventType": kind, **fields, "Timestamp": moment_text(row.at)}


_Named = tuple[str, Item] | None


def _begun(row: e.HistoryRow) -> _Named:
    match row:
        case e.ExecutionStarted():
            fields = {"FunctionName": row.name, "Input": _input(row.call), "ScheduledStartTime": None}
            return "ExecutionStarted", fields
        case e.ActivityScheduled():
            return "TaskScheduled", {"Name": row.name, "Input": _arguments(row.call)}
        case e.SubOrchestrationScheduled() | e.OrchestrationScheduled():
            fields = {"Name": row.name, "InstanceId": row.instance, "Input": _input(row.call)}
            return "SubOrchestrationInstanceCreated", fields
        case e.TimerCreated():
            return "TimerCreated", {"FireAt": moment_text(row.due)}
        case _:
            return None


def _settled(row: e.HistoryRow) -> _Named:
    match row:
        case e.ActivityCompleted():
            return "TaskCompleted", {"Result": shown(row.result)}
        case e.ActivityFailed():
            return "TaskFailed", _failure(row.failure)
        case e.SubOrchestrationCompleted():
            return "SubOrchestrationInstanceCompleted", {"Result": shown(row.result)}
        case e.SubOrchestrationFailed():
            return "SubOrchestrationInstanceFailed", _failure(row.failure)
        case _:
            return None


def _told(row: e.HistoryRow) -> _Named:
    match row:
        case e.EventRaised():
            return "EventRaised", {"Name": row.name, "Input": _text(row.data)}
        case e.EventSent():
            return "EventSent", {"InstanceId": row.instance, "Name": row.name, "Input": _text(row.data)}
        case e.ExecutionSuspended():
            return "ExecutionSuspended", {"Reason": row.reason or None}
        case e.ExecutionResumed():
            return "ExecutionResumed", {"Reason": row.reason or None}
        case e.ExecutionRewound() | e.ExecutionReset():
            return "ExecutionRewound", {"Reason": row.reason or None}
        case _:
            return None


def _ended(row: e.HistoryRow) -> _Named:
    match row:
        case e.ExecutionCompleted():
            return "ExecutionCompleted", _end(RuntimeStatus.COMPLETED, shown(row.result))
        case e.ExecutionFailed():
            return "ExecutionCompleted", _end(RuntimeStatus.FAILED, row.failure.message)
        case e.ExecutionCanceled():
            return "ExecutionCompleted", _end(RuntimeStatus.CANCELED, row.reason or None)
        case e.ExecutionTerminated():
            return "ExecutionTerminated", {"Input": row.reason or None}
        case e.ExecutionContinuedAsNew():
            return "ContinueAsNew", _end(RuntimeStatus.CONTINUED_AS_NEW, _input(row.call))
        case _:
            return None


def _end(status: RuntimeStatus, result: Any) -> Item:
    return {"OrchestrationStatus": status.value, "Result": result}


def _failure(failure: Failure) -> Item:
    return {"Reason": failure.message, "Details": failure.stack, "FailureDetails": _details(failure)}


def _details(failure: Failure | None) -> Item | None:
    if failure is None:
        return None
    return {
        "ErrorType": failure.type,
        "ErrorMessage": failure.message,
        "StackTrace": failure.stack,
        "InnerFailure": _details(failure.cause),
        "IsNonRetriable": False,
    }


def _input(call: Arguments) -> str | None:
    """The input of an orchestration: one value, or what several look like in a status."""
    if call.input is not ABSENT:
        return _text(call.input)
    if not call.args and not call.kwargs:
        return None
    named = ",".join(f"{json.dumps(name, ensure_ascii=False)}:{_text(value)}" for name, value in call.kwargs.items())
    return f'{{"args":{_array(call.args)},"kwargs":{{{named}}}}}'


def _arguments(call: Arguments) -> str | None:
    """The input of an activity: Azure has an array of its arguments."""
    if call.kwargs:
        return _input(call)
    return _array((call.input,) if call.input is not ABSENT else call.args)


def _array(values: Iterable[Raw]) -> str:
    return f"[{','.join(map(_text, values))}]"


def _text(payload: Raw) -> str:
    return bytes(payload).decode(errors="replace")


def shown(payload: Raw) -> Any:
    """A payload's value; its text where it has none."""
    try:
        return decode_any(payload)
    except ValueError:
        return _text(payload)
