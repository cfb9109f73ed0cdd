"""The ASGI application: every request through the same steps, whichever route it takes.

    match the route → who asks, and may they → run the handler → answer → count, log, audit

A handler returns an `Answer`, or raises an error of redurable; what that is on the wire, `failures.py` says.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from redurable.client import Client
from redurable.errors import CallerError
from redurable.http import audit
from redurable.http.answers import Answer, Refused
from redurable.http.call import Call
from redurable.http.failures import answer_of
from redurable.http.guard import Caller, Guard
from redurable.http.instances import CONTINUATION
from redurable.http.keys import ApiKey, Role, read_keys
from redurable.http.limits import check_length
from redurable.http.loglines import REQUEST_ID, log_request, request_id
from redurable.http.metrics import HttpMetrics
from redurable.http.query import Query
from redurable.http.router import Match, Router, path_of
from redurable.http.routes import all_routes
from redurable.settings import HttpSettings

log = logging.getLogger("redurable.http")

_SAFETY = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
"""On every answer: bodies and URLs of this API hold payloads and keys."""


class ManagementApi:
    """The management API of one hub or of several, to be mounted: `Mount("/", app=ManagementApi(client))`.

    `clients` have to be connected while requests come (`async with client:` in the lifespan). `taskHub` in a request
    names the hub; the first one is meant without it. `keys`: None takes those of the settings. Without keys only this
    machine is served, unless `insecure`: then whoever reaches the server may do everything, so let something else ask
    for credentials. Metrics go into `registry`, or one of its own. Raises `CallerError` for two clients of one hub, or
    keys that cannot be read.
    """

    def __init__(
        self,
        clients: Client | Iterable[Client],
        *,
        keys: Sequence[ApiKey] | None = None,
        insecure: bool = False,
        settings: HttpSettings | None = None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        given = [clients] if isinstance(clients, Client) else list(clients)
        self._clients = {client.hub: client for client in given}
        if not given or len(self._clients) < len(given):
            raise CallerError(f"the API serves one client for each hub, at least one, and was given {len(given)} for "
                              f"{', '.join(self._clients) or 'none'}")  # fmt: skip
        self.settings = HttpSettings() if settings is None else settings
        keys = read_keys(self.settings.http_keys.get_secret_value()) if keys is None else keys
        origins = [origin for word in self.settings.http_cors_origins.split(",") if (origin := word.strip())]
        self.metrics = HttpMetrics(registry)
        self._guard = Guard(keys, insecure, origins)
        self._router = Router(all_routes(self.metrics))
        self._serving: ASGIApp = _with_cors(self._serve, origins) if origins else self._serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            await self._serving(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request, query = Request(scope, receive), Query(())
        identifier = request_id(request)
        match = self._router.find(request.method, path_of(request))
        caller = Caller()
        try:
            query = Query(request.query_params.multi_items())
            check_length(request, self.settings.http_max_body_bytes)
            role = match.route.role if match else Role.READ
            if role is not None:
                caller = self._guard.admit(request, role)
            answer = Answer(status=404) if match is None else await self._run(match, request, query, caller)
        except Refused as error:
            answer = error.answer
        except Exception as error:
            answer = answer_of(error)
        seconds = time.perf_counter() - began
        self._tell(request, match, query, caller, identifier, answer, seconds)
        answer = replace(answer, headers={**_SAFETY, **answer.headers, REQUEST_ID: identifier})
        await answer.response()(scope, receive, send)

    async def _run(self, match: Match, request: Request, query: Query, caller: Caller) -> Answer:
        route = match.route
        call = Call(request, match.params, query, caller, self._clients, self.settings, route.rpc)
        return await route.run(call)

    def _tell(
        self,
        request: Request,
        match: Match | None,
        query: Query,
        caller: Caller,
        identifier: str,
        answer: Answer,
        seconds: float,
    ) -> None:
        """Count it, log it, and write the audit line of what changes something."""
        route = match.route.template if match else ""
        self.metrics.count(route, request.method, answer.status, seconds)
        log_request(identifier, caller.name, request.method, route or "-", answer.status, seconds)
        if answer.failure is not None:
            log.error("request %s failed: %s", identifier, answer.failure, exc_info=_defect(answer))
        if match and match.route.action:
            instance = answer.instance or match.params.get("instanceId", "")
            event = match.params.get("eventName", "")
            audit.tell(
                audit.Deed(
                    action=match.route.action,
                    key=caller.name,
                    hub=query.text("taskHub") or next(iter(self._clients)),
                    instance=instance,
                    status=answer.status,
                    remote=request.client.host if request.client else "-",
                    request=identifier,
                    note=answer.note or event or query.text("reason"),
                )
            )


def _defect(answer: Answer) -> Exception | None:
    """What deserves a traceback: a defect, not a server that is away."""
    return answer.failure if answer.status == 500 else None


def _with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    shown: Any = ["Location", "Retry-After", CONTINUATION, REQUEST_ID]
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["content-type", "authorization", "x-functions-key", CONTINUATION, REQUEST_ID, "idempotency-key"],
        expose_headers=shown,
        max_age=600,
    )
