"""The OpenAPI document of the API, as it is served."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any, NamedTuple

from redurable.http.openapi_parts import PARAMETERS, RESPONSES, SCHEMAS, SECURITY, json_of, ref
from redurable.http.payloads import RPC, WEBHOOKS

Json = dict[str, Any]


class _Does(NamedTuple):
    """An operation: its method and path, what it does, its parameters beside those of the path, its own responses."""

    method: str
    path: str
    text: str
    parameters: str
    responses: dict[int, str]
    body: Json | None = None


_ANY = {"required": False, "content": json_of({})}
_EVENT = {"required": True, "content": json_of({})}
_SIGNAL = {"required": False, "content": {**json_of({}), "text/plain": {"schema": {"type": "string"}}}}
_WAIT = "timeout pollingInterval"
_BEGUN = {200: "Output", 202: "Begun"}
_READ = {408: "TooSlow"}
_TAKEN = {409: "Conflict"}
_TOLD = {202: "Accepted", 404: "NotFound", 410: "Gone"}
_INSTANCE = "/instances/{instanceId}"
_SHOWN = "showInput showHistory showHistoryOutput returnInternalServerErrorOnFailure"
_MANY = "createdTimeFrom createdTimeTo runtimeStatus"
_PURGED = "purgedFrom createdTimeTo runtimeStatus"
_ENTITIES = "lastOperationTimeFrom lastOperationTimeTo top fetchState continuation"

AZURE = (
    _Does("post", "/orchestrators/{functionName}", "Start an instance", _WAIT, {**_BEGUN, **_READ}, _ANY),
    _Does(
        "post",
        "/orchestrators/{functionName}/{instanceId}",
        "Start an instance by id",
        _WAIT,
        {**_BEGUN, **_READ, **_TAKEN},
        _ANY,
    ),
    _Does("get", "/instances", "List instances", f"{_MANY} instanceIdPrefix showInput top continuation", {200: "Page"}),
    _Does("delete", "/instances", "Purge finished instances", _PURGED, {200: "Purged", 404: "NotFound"}),
    _Does("get", _INSTANCE, "Get a status", _SHOWN, {200: "Ended", 202: "GoesOn", 404: "NotFound", 500: "Failed"}),
    _Does("delete", _INSTANCE, "Purge an instance", "", {200: "Purged", 404: "NotFound"}),
    _Does(
        "post",
        f"{_INSTANCE}/raiseEvent/{{eventName}}",
        "Raise an event",
        "idempotencyKey",
        {**_TOLD, **_READ},
        _EVENT,
    ),
    _Does("post", f"{_INSTANCE}/terminate", "Terminate an instance", "reason", _TOLD),
    _Does("post", f"{_INSTANCE}/suspend", "Suspend an instance", "reason", _TOLD),
    _Does("post", f"{_INSTANCE}/resume", "Resume an instance", "reason", _TOLD),
    _Does("post", f"{_INSTANCE}/rewind", "Rewind a failed instance", "reason", {**_TOLD, **_TAKEN}),
    _Does(
        "post",
        f"{_INSTANCE}/restart",
        "Restart an instance",
        f"restartWithNewInstanceId {_WAIT}",
        {**_BEGUN, **_TAKEN},
    ),
    _Does("get", "/entities", "List entities: there are none", _ENTITIES, {200: "Entities"}),
    _Does("get", "/entities/{entityName}", "List entities by name: none", _ENTITIES, {200: "Entities"}),
    _Does("get", "/entities/{entityName}/{entityKey}", "Get an entity: there is none", "", {404: "NotFound"}),
    _Does("post", "/entities", "Signal no entity", "op", {}, _SIGNAL),
    _Does("post", "/entities/{entityName}", "Signal an entity: there is none", "op", {}, _SIGNAL),
    _Does("post", "/entities/{entityName}/{entityKey}", "Signal an entity by key", "op", {}, _SIGNAL),
    _Does("delete", "/entities", "Delete no entity", "", {}),
    _Does("delete", "/entities/{entityName}", "Delete an entity: there is none", "", {}),
    _Does("delete", "/entities/{entityName}/{entityKey}", "Delete an entity by key", "", {}),
    _Does("post", "/makeprimary", "Make this app the primary one: it is", "", {200: "Done"}),
)
OWN = (
    _Does("get", "/livez", "Whether the process lives", "", {200: "Text"}),
    _Does("get", "/readyz", "Whether the stores answer", "", {200: "Text"}),
    _Does("get", "/openapi.json", "This document", "", {200: "Document"}),
    _Does("get", "/scaler", "How much work there is, for autoscalers", "taskQueue role", {200: "Number"}),
    _Does("get", "/metrics", "Metrics for Prometheus", "", {200: "Text"}),
)
_PUBLIC = ("/livez", "/readyz", "/openapi.json")
_EVERYWHERE = {400: "BadRequest", 413: "TooLarge", 500: "Defect", 503: "Unavailable"}
_GUARDED = {401: "Unauthorized", 403: "Forbidden"}


def document(base: str) -> Json:
    """The document of an API that is at this URL."""
    paths: Json = {}
    for prefix, tag in ((WEBHOOKS, "management"), (RPC, "rpc")):
        for does in AZURE:
            parameters = f"{does.parameters} taskHub connection"
            paths.setdefault(f"{prefix}{does.path}", {})[does.method] = _operation(does, tag, parameters)
    for does in OWN:
        parameters = f"{does.parameters} taskHub" if does.path == "/scaler" else does.parameters
        paths.setdefault(does.path, {})[does.method] = _operation(does, "process", parameters)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "redurable",
            "version": version("redurable"),
            "description": "The HTTP management API of redurable, with the wire format of Azure Durable Functions.",
        },
        "servers": [{"url": base or "/"}],
        "security": [{scheme: []} for scheme in SECURITY],
        "tags": [
            {"name": "management", "description": "Azure's management API."},
            {"name": "rpc", "description": "The same, where SDKs of Azure's languages call: their rpcBaseUrl."},
            {"name": "process", "description": "The process that serves it."},
        ],
        "paths": paths,
        "components": {
            "parameters": PARAMETERS,
            "schemas": SCHEMAS,
            "responses": RESPONSES,
            "securitySchemes": SECURITY,
        },
    }


def _operation(does: _Does, tag: str, parameters: str) -> Json:
    names = [*re.findall(r"{(\w+)}", does.path), *parameters.split()]
    public = does.path in _PUBLIC
    responses = {**_EVERYWHERE, **({} if public else _GUARDED), **does.responses}
    operation: Json = {
        "tags": [tag],
        "operationId": _identifier(does, tag),
        "summary": does.text,
        "parameters": [ref("parameters", name) for name in names],
        "responses": {str(status): ref("responses", name) for status, name in sorted(responses.items())},
    }
    if does.body is not None:
        operation["requestBody"] = does.body
    if public:
        operation["security"] = []
    return operation


def _identifier(does: _Does, tag: str) -> str:
    words = re.sub(r"[^A-Za-z]+", " ", does.path).split()
    return "-".join([tag, does.method, *words])
