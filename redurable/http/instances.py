"""Routes that look at instances, and those that purge them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from redurable.client import Status
from redurable.client.queries import InstanceFilters, Page
from redurable.core.values import RuntimeStatus
from redurable.errors import HubNotFound, InstanceNotFinished
from redurable.http.answers import Answer, bad_request
from redurable.http.call import Call
from redurable.http.failures import ARGUMENTS
from redurable.http.payloads import status_payload

CONTINUATION = "x-ms-continuation-token"
POLL_SECONDS = "5"
PAGE = 100
MOST = 1_000
NONE = Page((), "")


async def get_status(call: Call) -> Answer:
    """GET /instances/{instanceId}"""
    shown = await call.client.get_status(call.instance, show_history=call.query.flag("showHistory", default=False))
    answer, failed = settled(call, shown), shown.runtime_status is RuntimeStatus.FAILED
    raised = failed and call.query.flag("returnInternalServerErrorOnFailure", default=False)
    return replace(answer, status=500) if raised else answer


def settled(call: Call, status: Status, instance: str = "") -> Answer:
    """A status as it is answered: 202 and when to ask again while the instance goes on."""
    query = call.query
    payload = status_payload(
        status,
        show_input=query.flag("showInput", default=True),
        show_output=query.flag("showHistoryOutput", default=False),
    )
    if not status.runtime_status.finished:
        headers = {"Location": call.own_url, "Retry-After": POLL_SECONDS}
        return Answer(status=202, body=payload, headers=headers, instance=instance)
    return Answer(body=payload, instance=instance)


async def list_instances(call: Call) -> Answer:
    """GET /instances"""
    page = await _page(call)
    show_input = call.query.flag("showInput", default=True)
    body = [status_payload(status, show_input=show_input) for status in page.instances]
    return Answer(body=body, headers={CONTINUATION: page.continuation})


async def _page(call: Call) -> Page:
    """The page that is asked for. Azure passes over what it cannot read, so a status that is none asks for all."""
    query = call.query
    begin, end = query.moment("createdTimeFrom"), query.moment("createdTimeTo")
    wanted, _ = query.statuses("runtimeStatus")
    askable = [status.value for status in wanted if status is not RuntimeStatus.CONTINUED_AS_NEW]
    if (wanted and not askable) or (begin and end and begin > end):
        return NONE
    named = {"prefix": query.text("instanceIdPrefix"), "created_from": begin, "created_to": end, "status": askable}
    filters: Any = {name: value for name, value in named.items() if value}
    limit = min(max(query.integer("top") or PAGE, 1), MOST)
    try:
        return await call.client.list_page(
            limit=limit, continuation=call.request.headers.get(CONTINUATION, ""), **filters
        )
    except HubNotFound:
        return NONE


async def purge(call: Call) -> Answer:
    """DELETE /instances/{instanceId}"""
    try:
        await call.client.purge(call.instance)
    except InstanceNotFinished as error:
        return Answer(body={"instancesDeleted": 0}, note=str(error))
    return Answer(body={"instancesDeleted": 1})


async def purge_many(call: Call) -> Answer:
    """DELETE /instances

    Azure reads an end or a status that makes no sense as none, and so deletes more than was meant: here it is refused.
    """
    query = call.query
    begin = query.moment("createdTimeFrom")
    if begin is None:
        return Answer(status=400, body="Please provide value for 'createdTimeFrom' parameter.")
    end = query.moment("createdTimeTo") if query.has("createdTimeTo") else datetime.now(UTC)
    if end is None:
        return bad_request(ARGUMENTS, f"createdTimeTo {query.text('createdTimeTo')!r:.80} is no time that can be read.")
    wanted, unknown = query.statuses("runtimeStatus")
    if unknown:
        return bad_request(ARGUMENTS, f"runtimeStatus {unknown[0]!r:.80} is none; use Completed, Failed, … .")
    finished = [status.value for status in wanted if status.finished]
    if end < begin or (wanted and not finished):
        return Answer(status=404)
    filters: InstanceFilters = {"created_from": begin, "created_to": end}
    if finished:
        filters["status"] = finished
    deleted = await call.client.purge_instances(**filters)
    note = f"{deleted} created from {begin.isoformat()} to {end.isoformat()}, status {','.join(finished) or 'any'}"
    if not deleted:
        return Answer(status=404, note=note)
    return Answer(body={"instancesDeleted": deleted}, note=note)
