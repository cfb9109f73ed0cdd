"""Histories in Azure's words, with its casing, and its way of merging two events into one."""

from __future__ import annotations

import json
import re
from typing import Any

from msgspec import Raw

from redurable.core import events as e
from redurable.core.rows import history_rows
from redurable.core.values import Arguments, Attempt, Ending, Failure
from redurable.http.history import history_events, moment_text
from tests.http.conftest import Api
from tests.http.test_azure_routes import start

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z")
ONE = Arguments(input=Raw(b'"x"'))
FAILED = Failure("ValueError", "no", "the stack", 1, Failure("KeyError", "inner"))


def shown(*rows: e.HistoryRow, inputs: bool = True, outputs: bool = True) -> list[dict[str, Any]]:
    items = history_events(rows, inputs, outputs)
    for item in items:
        item.pop("Timestamp")
    return items


async def test_a_whole_history(api: Api) -> None:
    await start(api, "Echo", "all-other", 1)
    said = await start(api, "Everything", "all", "tokyo")
    await api.http.post("/instances/all/suspend?reason=audit")
    await api.http.post("/instances/all/resume?reason=done")
    await api.http.post("/instances/all/raiseEvent/Go", json={"ok": True})
    await api.end_of("all")
    assert "historyEvents" not in (await api.http.get("/instances/all")).json()
    said = await api.http.get("/instances/all", params={"showHistory": True, "showHistoryOutput": True})
    events = said.json()["historyEvents"]
    kinds = [event["EventType"] for event in events]
    assert (kinds[0], kinds[-1]) == ("ExecutionStarted", "ExecutionCompleted")
    assert set(kinds) == {
        *("ExecutionStarted", "TaskCompleted", "TimerCreated", "TimerFired", "SubOrchestrationInstanceCompleted"),
        *("EventRaised", "EventSent", "TaskFailed", "ExecutionSuspended", "ExecutionResumed", "ExecutionCompleted"),
    }
    assert all(STAMP.fullmatch(event["Timestamp"]) for event in events)
    by_kind = {event["EventType"]: event for event in events}
    began = by_kind["ExecutionStarted"]
    assert (began["FunctionName"], began["Input"], began["ScheduledStartTime"]) == ("Everything", '"tokyo"', None)
    task = by_kind["TaskCompleted"]
    assert (task["FunctionName"], task["Result"], task["Input"]) == ("Upper", "TOKYO", '["tokyo"]')
    assert STAMP.fullmatch(task["ScheduledTime"])
    child = by_kind["SubOrchestrationInstanceCompleted"]
    assert (child["FunctionName"], child["Result"], child["Input"]) == ("Hello", "TOKYO", '"tokyo"')
    assert (by_kind["EventRaised"]["Name"], json.loads(by_kind["EventRaised"]["Input"])) == ("Go", {"ok": True})
    sent = by_kind["EventSent"]
    assert (sent["InstanceId"], sent["Name"], sent["Input"]) == ("all-other", "Ping", '{"n":1}')
    assert by_kind["TimerFired"]["FireAt"] == by_kind["TimerCreated"]["FireAt"]
    assert by_kind["TaskFailed"]["Reason"] == "Activity function 'Stock' failed: no stock of nothing"
    end = by_kind["ExecutionCompleted"]
    assert (end["OrchestrationStatus"], end["Result"]) == ("Completed", "TOKYO")


async def test_results_and_inputs_only_when_they_are_wanted(api: Api) -> None:
    await start(api, "Hello", "one", "tokyo")
    await api.end_of("one")
    said = await api.http.get("/instances/one", params={"showHistory": True})
    assert all("Result" not in event for event in said.json()["historyEvents"])
    assert all("Input" in event for event in said.json()["historyEvents"][:2])
    said = await api.http.get("/instances/one", params={"showHistory": True, "showInput": False})
    assert all("Input" not in event for event in said.json()["historyEvents"])


def test_calls_without_outcome_are_shown_as_they_were_scheduled() -> None:
    assert shown(
        e.ActivityScheduled(at=1, seq=1, name="A", call=ONE),
        e.SubOrchestrationScheduled(at=1, seq=2, name="S", instance="child", call=ONE),
        e.OrchestrationScheduled(at=1, seq=3, name="D", instance="detached"),
    ) == [
        {"EventType": "TaskScheduled", "Name": "A", "Input": '["x"]'},
        {"EventType": "SubOrchestrationInstanceCreated", "Name": "S", "InstanceId": "child", "Input": '"x"'},
        {"EventType": "SubOrchestrationInstanceCreated", "Name": "D", "InstanceId": "detached", "Input": None},
    ]


def test_failures_have_azures_fields() -> None:
    details = {
        "ErrorType": "ValueError",
        "ErrorMessage": "no",
        "StackTrace": "the stack",
        "InnerFailure": {
            "ErrorType": "KeyError",
            "ErrorMessage": "inner",
            "StackTrace": "",
            "InnerFailure": None,
            "IsNonRetriable": False,
        },
        "IsNonRetriable": False,
    }
    rows = history_rows(
        [
            e.SubOrchestrationScheduled(at=0, seq=1, name="S", instance="child", call=ONE),
            e.SubOrchestrationFailed(at=1500, seq=1, failure=FAILED),
            e.ActivityScheduled(at=1501, seq=2, name="A"),
            e.ActivityFailed(at=1502, seq=2, failure=FAILED, worker="w", log=(Attempt(1, Ending.CRASHED),)),
        ]
    )
    child, task = history_events(rows, True, True)
    assert child == {
        "EventType": "SubOrchestrationInstanceFailed",
        "Reason": "Orchestrator function 'S' failed: no",
        "Details": "the stack",
        "FailureDetails": details,
        "Timestamp": "1970-01-01T00:00:01.5Z",
        "ScheduledTime": "1970-01-01T00:00:00Z",
        "FunctionName": "S",
        "Input": '"x"',
    }
    assert (task["EventType"], task["Reason"], task["Input"]) == (
        "TaskFailed",
        "Activity function 'A' failed: no",
        "[]",
    )


def test_ends_have_azures_statuses() -> None:
    ends = shown(
        e.ExecutionFailed(at=1, failure=FAILED),
        e.ExecutionCanceled(at=1, reason="why"),
        e.ExecutionTerminated(at=1, reason="stop"),
        e.ExecutionContinuedAsNew(at=1, next="n", call=ONE),
        e.ExecutionCompleted(at=1, result=Raw(b'{"broken')),
    )
    assert ends == [
        {"EventType": "ExecutionCompleted", "OrchestrationStatus": "Failed", "Result": "no"},
        {"EventType": "ExecutionCompleted", "OrchestrationStatus": "Canceled", "Result": "why"},
        {"EventType": "ExecutionTerminated", "Input": "stop"},
        {"EventType": "ExecutionCompleted", "OrchestrationStatus": "Terminated", "Result": "stop"},
        {"EventType": "ContinueAsNew", "OrchestrationStatus": "ContinuedAsNew", "Result": '"x"'},
        {"EventType": "ExecutionCompleted", "OrchestrationStatus": "Completed", "Result": '{"broken'},
    ]


def test_several_arguments() -> None:
    several = Arguments(args=(Raw(b"1"), Raw(b"2")))
    named = Arguments(args=(Raw(b"1"),), kwargs={"é": Raw(b"[2]")})
    items = shown(
        e.ActivityScheduled(at=1, seq=1, name="A", call=several),
        e.ActivityScheduled(at=1, seq=2, name="A", call=named),
        e.ExecutionStarted(at=1, name="O", execution="x", call=several),
    )
    assert [item["Input"] for item in items] == [
        "[1,2]",
        '{"args":[1],"kwargs":{"é":[2]}}',
        '{"args":[1,2],"kwargs":{}}',
    ]


def test_what_azure_has_no_event_for_is_left_out() -> None:
    assert (
        shown(
            e.ActivityCancelRequested(at=1, seq=1),
            e.ActivityCanceled(at=1, seq=1, attempt=1),
            e.TimerCanceled(at=1, seq=2),
            e.SubOrchestrationCancelRequested(at=1, seq=3),
            e.ExecutionCancelRequested(at=1),
            e.ActivityStarted(at=1, seq=1, attempt=1),
        )
        == []
    )


def test_times_have_no_digits_that_say_nothing() -> None:
    assert [moment_text(ms) for ms in (0, 10, 1_234, 1_700_000_000_120)] == [
        *("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.01Z", "1970-01-01T00:00:01.234Z", "2023-11-14T22:13:20.12Z")
    ]
