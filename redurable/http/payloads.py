"""Azure's payloads: a status, and the URLs by which an instance is managed."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic_core import from_json

from redurable.client import Status
from redurable.core.values import RuntimeStatus
from redurable.http.history import failed_text, history_events

WEBHOOKS = "/runtime/webhooks/durabletask"
"""Where Azure has its management API."""
RPC = "/durabletask"
"""Where the SDKs of Azure's languages look for it: their `rpcBaseUrl`."""

CONNECTION = "Storage"
"""What Azure calls the connection of a hub when nothing else is said. It means nothing here, and clients pass it on."""

Json = dict[str, Any]


def status_payload(status: Status, *, show_input: bool, show_output: bool = False) -> Json:
    """A status as Azure has it; with `historyEvents` when the status has its history."""
    payload: Json = {
        "name": status.name,
        "instanceId": status.instance_id,
        "runtimeStatus": status.runtime_status.value,
        "input": status.input if show_input else None,
        "customStatus": status.custom_status,
        "output": output_of(status),
        "createdTime": _seconds(status.created_at),
        "lastUpdatedTime": _seconds(status.last_updated_at),
    }
    if status.history is not None and status.runtime_status is not RuntimeStatus.PENDING:
        payload["historyEvents"] = history_events(status.history, show_input, show_output)
    return payload


def output_of(status: Status) -> Any:
    """The result; of an instance that ended otherwise, why."""
    match status.runtime_status:
        case RuntimeStatus.FAILED:
            return failed_text(status.name, status.failure)
        case RuntimeStatus.TERMINATED | RuntimeStatus.CANCELED:
            return _said(status.failure.message if status.failure else "")
        case _:
            return status.output


def management_urls(base: str, instance: str, hub: str, connection: str, code: str = "") -> dict[str, str]:
    """The body of a 202. `base` is where the API is, without a slash at its end; `code` is the caller's own key, when
    it came in the URL: then it stands in these URLs, too. `{eventName}` and `{text}` are for the caller to fill in."""
    prefix = f"{base}{WEBHOOKS}/instances/{quote(instance, safe='')}"
    suffix = f"taskHub={quote_plus(hub)}&connection={quote_plus(connection)}"
    if code:
        suffix += f"&code={quote_plus(code)}"
    return {
        "id": instance,
        "statusQueryGetUri": f"{prefix}?{suffix}",
        "sendEventPostUri": f"{prefix}/raiseEvent/{{eventName}}?{suffix}",
        "terminatePostUri": f"{prefix}/terminate?reason={{text}}&{suffix}",
        "purgeHistoryDeleteUri": f"{prefix}?{suffix}",
        "restartPostUri": f"{prefix}/restart?{suffix}",
        "suspendPostUri": f"{prefix}/suspend?reason={{text}}&{suffix}",
        "resumePostUri": f"{prefix}/resume?reason={{text}}&{suffix}",
    }


def _said(reason: str) -> Any:
    """Azure shows a reason that is JSON as what it says, and any other as its text; none is null."""
    if not reason:
        return None
    try:
        return from_json(reason, allow_inf_nan=False)
    except ValueError:
        return reason


def _seconds(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
