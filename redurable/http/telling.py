"""What is told of a request once it is answered: metrics, a log line, and the audit line of what changes something."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from starlette.requests import Request

from redurable.http import audit
from redurable.http.answers import Answer
from redurable.http.guard import Caller
from redurable.http.loglines import log_request
from redurable.http.metrics import HttpMetrics
from redurable.http.query import Query
from redurable.http.router import Match

log = logging.getLogger("redurable.http")


@dataclass(frozen=True)
class Visit:
    """A request, the route that it took (None: there is none), who asked, and the id that log lines know it by. `hub`
    is meant when the request names none."""

    request: Request
    match: Match | None
    caller: Caller
    identifier: str
    hub: str


def tell(visit: Visit, answer: Answer, seconds: float, metrics: HttpMetrics) -> None:
    """Tell it."""
    method, route = visit.request.method, visit.match.route.template if visit.match else ""
    metrics.count(route, method, answer.status, seconds)
    log_request(visit.identifier, visit.caller.name, method, route or "-", answer.status, seconds)
    if answer.failure is not None:
        # A defect deserves a traceback; a server that is away does not.
        defect = answer.failure if answer.status == 500 else None
        log.error("request %s failed: %s", visit.identifier, answer.failure, exc_info=defect)
    if visit.match is not None and visit.match.route.action:
        audit.tell(_deed(visit, visit.match, answer))


def _deed(visit: Visit, match: Match, answer: Answer) -> audit.Deed:
    query = Query(visit.request.query_params.multi_items())
    peer = visit.request.client
    return audit.Deed(
        action=match.route.action,
        key=visit.caller.name,
        hub=query.text("taskHub") or visit.hub,
        instance=match.params.get("instanceId", "") or answer.instance,
        status=answer.status,
        remote=peer.host if peer else "-",
        request=visit.identifier,
        note=answer.note or match.params.get("eventName", "") or query.text("reason"),
    )
