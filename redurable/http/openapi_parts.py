"""Pieces of the OpenAPI document: parameters, schemas, responses."""

from __future__ import annotations

from typing import Any

from redurable.core.values import RuntimeStatus

Json = dict[str, Any]

_ANY: Json = {"description": "Any JSON value."}
_TIME: Json = {"type": "string", "format": "date-time"}
_WORDS = [status.value for status in RuntimeStatus]


def _query(name: str, text: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _path(name: str, text: str) -> Json:
    schema = {"type": "string", "minLength": 1, "maxLength": 256}
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _flag(name: str, text: str, default: bool) -> Json:
    return _query(name, text, {"type": "boolean", "default": default})


PARAMETERS: dict[str, Json] = {
    "functionName": _path("functionName", "The orchestrator."),
    "instanceId": _path("instanceId", "The instance."),
    "eventName": _path("eventName", "The event."),
    "entityName": _path("entityName", "The entity's name."),
    "entityKey": _path("entityKey", "The entity's key; `$` is the empty one."),
    "taskHub": _query("taskHub", "The hub; the first that is served without it.", {"type": "string"}),
    "connection": _query("connection", "Azure's; it comes back in URLs, and means nothing.", {"type": "string"}),
    "timeout": _query("timeout", "Seconds to wait for the completion; with pollingInterval.", {"type": "number"}),
    "pollingInterval": _query("pollingInterval", "Seconds, at most timeout.", {"type": "number"}),
    "reason": _query("reason", "Why.", {"type": "string"}),
    "showInput": _flag("showInput", "Show inputs.", True),
    "showHistory": _flag("showHistory", "Show the history.", False),
    "showHistoryOutput": _flag("showHistoryOutput", "Show results in the history.", False),
    "returnInternalServerErrorOnFailure": _flag(
        "returnInternalServerErrorOnFailure", "Answer 500 for an instance that failed.", False
    ),
    "restartWithNewInstanceId": _flag("restartWithNewInstanceId", "Give the new run a new id.", True),
    "createdTimeFrom": _query("createdTimeFrom", "Created then or later.", _TIME),
    "purgedFrom": _query("createdTimeFrom", "Created then or later.", _TIME) | {"required": True},
    "createdTimeTo": _query("createdTimeTo", "Created then or earlier.", _TIME),
    "runtimeStatus": _query(
        "runtimeStatus",
        "One of these; several with commas between them, or repeated.",
        {"type": "array", "items": {"type": "string", "enum": _WORDS}},
    )
    | {"style": "form", "explode": False},
    "instanceIdPrefix": _query("instanceIdPrefix", "How the id begins.", {"type": "string"}),
    "top": _query("top", "The most instances of one page.", {"type": "integer", "minimum": 1, "maximum": 1000}),
    "continuation": {
        "name": "x-ms-continuation-token",
        "in": "header",
        "description": "What the page before said; with the same filters.",
        "schema": {"type": "string"},
    },
    "idempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "An event with a key that the instance has seen is dropped.",
        "schema": {"type": "string", "maxLength": 256},
    },
    "op": _query("op", "The operation.", {"type": "string"}),
    "fetchState": _flag("fetchState", "Show states.", False),
    "lastOperationTimeFrom": _query("lastOperationTimeFrom", "Changed then or later.", _TIME),
    "lastOperationTimeTo": _query("lastOperationTimeTo", "Changed then or earlier.", _TIME),
    "taskQueue": _query("taskQueue", "Of all tasks only those of this queue; may be repeated.", {"type": "string"}),
    "role": _query(
        "role", "Only this kind of work; may be repeated.", {"type": "string", "enum": ["orchestrations", "activities"]}
    ),
}

_URIS = (
    *("statusQueryGetUri", "sendEventPostUri", "terminatePostUri", "purgeHistoryDeleteUri"),
    *("restartPostUri", "suspendPostUri", "resumePostUri"),
)
_TEXT: Json = {"type": "string"}

SCHEMAS: dict[str, Json] = {
    "Status": {
        "type": "object",
        "required": [
            *("name", "instanceId", "runtimeStatus", "input", "customStatus", "output"),
            *("createdTime", "lastUpdatedTime"),
        ],
        "properties": {
            "name": _TEXT,
            "instanceId": _TEXT,
            "runtimeStatus": {"type": "string", "enum": _WORDS},
            "input": _ANY,
            "customStatus": _ANY,
            "output": _ANY,
            "createdTime": _TIME,
            "lastUpdatedTime": _TIME,
            "historyEvents": {"type": "array", "items": {"$ref": "#/components/schemas/HistoryEvent"}},
        },
    },
    "HistoryEvent": {
        "type": "object",
        "description": "Azure's event; which other fields there are depends on its type.",
        "required": ["EventType", "Timestamp"],
        "properties": {"EventType": _TEXT, "Timestamp": _TIME, "FunctionName": _TEXT, "ScheduledTime": _TIME},
    },
    "Management": {
        "type": "object",
        "required": ["id", *_URIS],
        "properties": {"id": _TEXT, **dict.fromkeys(_URIS, _TEXT)},
    },
    "Purged": {
        "type": "object",
        "required": ["instancesDeleted"],
        "properties": {"instancesDeleted": {"type": "integer", "minimum": 0}},
    },
    "Error": {
        "type": "object",
        "required": ["Message"],
        "properties": {
            "Message": _TEXT,
            "ExceptionMessage": _TEXT,
            "ExceptionType": _TEXT,
            "StackTrace": {"type": ["string", "null"]},
        },
    },
}


def json_of(schema: Json) -> Json:
    """A JSON body."""
    return {"application/json": {"schema": schema}}


def ref(kind: str, name: str) -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def _header(text: str) -> Json:
    return {"description": text, "schema": _TEXT}


_ERROR = json_of(ref("schemas", "Error"))
_PLAIN = {"text/plain": {"schema": _TEXT}}
_AGAIN = {"Location": _header("Where the status is."), "Retry-After": _header("Seconds to wait before asking.")}

RESPONSES: dict[str, Json] = {
    "Accepted": {"description": "It was told to the instance."},
    "Begun": {
        "description": "It has begun; how to manage it.",
        "headers": _AGAIN,
        "content": json_of(ref("schemas", "Management")),
    },
    "Output": {"description": "It ended in time: the output, or the status if it did not complete.",
               "content": json_of(_ANY)},
    "GoesOn": {"description": "It goes on.", "headers": _AGAIN, "content": json_of(ref("schemas", "Status"))},
    "Ended": {"description": "It has ended.", "content": json_of(ref("schemas", "Status"))},
    "Failed": {
        "description": "It has failed, and the caller asked for this status; or the server has a defect.",
        "content": json_of({"anyOf": [ref("schemas", "Status"), ref("schemas", "Error")]}),
    },
    "Defect": {"description": "The server has a defect.", "content": _ERROR},
    "Page": {
        "description": "A page, the newest first.",
        "headers": {"x-ms-continuation-token": _header("Asks for the next page; empty: this was the last.")},
        "content": json_of({"type": "array", "items": ref("schemas", "Status")}),
    },
    "Entities": {
        "description": "None.",
        "headers": {"x-ms-continuation-token": _header("Empty.")},
        "content": json_of({"type": "array", "items": {"type": "object"}}),
    },
    "Purged": {"description": "So many were deleted.", "content": json_of(ref("schemas", "Purged"))},
    "Done": {"description": "Done."},
    "Number": {"description": "How much work there is.", "content": json_of({"type": "integer", "minimum": 0})},
    "Text": {"description": "As it says.", "content": _PLAIN},
    "Document": {"description": "This document.", "content": json_of({"type": "object"})},
    "BadRequest": {
        "description": "An argument, the body, or the request itself is not right.",
        "content": {**json_of({"anyOf": [ref("schemas", "Error"), _TEXT]}), **_PLAIN},
    },
    "Unauthorized": {"description": "There is no key, or none that is known."},
    "Forbidden": {"description": "The key does not reach so far; or, without keys, not from there.", "content": _ERROR},
    "NotFound": {"description": "There is no such thing."},
    "TooSlow": {"description": "The body did not come in time.", "content": _ERROR},
    "Conflict": {"description": "The instance is in a state that does not allow it.", "content": _ERROR},
    "Gone": {"description": "The instance has finished."},
    "TooLarge": {"description": "The body is too large.", "content": _ERROR},
    "Unavailable": {
        "description": "The store does not answer, or the server has more requests than it takes at once.",
        "headers": {"Retry-After": _header("Seconds to wait before asking.")},
        "content": {**_ERROR, **_PLAIN},
    },
}  # fmt: skip

SECURITY: dict[str, Json] = {
    "key": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
    "code": {"type": "apiKey", "in": "query", "name": "code"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key as the password; any user name."},
}
