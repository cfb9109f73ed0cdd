"""The ASGI application: every request through the same steps, whichever route it takes.

    match the route → who asks, and may they → run the handler → count, log, audit → answer

A handler returns an `Answer`, or raises an error of redurable; what that is on the wire, `failures.py` says.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from redurable.client import Client
from redurable.errors import CallerError
from redurable.http.answers import Answer, Refused
from redurable.http.call import Call
from redurable.http.failures import answer_of
from redurable.http.guard import Caller, Guard
from redurable.http.instances import CONTINUATION
from redurable.http.keys import ApiKey, Role, keys_of
from redurable.http.limits import check_length
from redurable.http.loglines import REQUEST_ID, request_id
from redurable.http.metrics import HttpMetrics
from redurable.http.payloads import CONNECTION, management_urls
from redurable.http.query import Query
from redurable.http.router import Match, Router, path_of
from redurable.http.routes import all_routes
from redurable.http.starts import begun
from redurable.http.telling import Visit, tell
from redurable.http.urls import escaped, origin_of
from redurable.settings import HttpSettings

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
            hubs = ", ".join(self._clients) or "none"
            raise CallerError(f"the API serves one client for each hub, at least one; it got {len(given)} for {hubs}")
        self.settings = HttpSettings() if settings is None else settings
        keys = keys_of(self.settings) if keys is None else keys
        origins = [origin for word in self.settings.http_cors_origins.split(",") if (origin := word.strip())]
        self.metrics = HttpMetrics(registry)
        self._guard = Guard(keys, insecure, origins)
        self._router = Router(all_routes(self.metrics))
        self._serving: ASGIApp = _with_cors(self._serve, origins) if origins else self._serve

    def check_status_response(
        self, request: Request, instance_id: str, hub: str = "", mounted_at: str = ""
    ) -> Response:
        """The 202 of an endpoint of your own that has started an instance: how to manage it, where its status is, and
        when to ask. `hub`: the first one without it. `mounted_at`: where this API is, as in `Mount("/manage", api)`."""
        base = self.settings.http_public_url.rstrip("/") or str(request.base_url).rstrip("/")
        base += escaped(mounted_at)
        return begun(management_urls(base, instance_id, hub or next(iter(self._clients)), CONNECTION)).response()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            await self._serving(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request = Request(scope, receive)
        match, identifier = self._router.find(request.method, path_of(request)), request_id(request)
        answer, caller = await self._answer(request, match)
        visit = Visit(request, match, caller, identifier, next(iter(self._clients)))
        tell(visit, answer, time.perf_counter() - began, self.metrics)
        answer = replace(answer, headers={**_SAFETY, **answer.headers, REQUEST_ID: identifier})
        await answer.response()(scope, receive, send)

    async def _answer(self, request: Request, match: Match | None) -> tuple[Answer, Caller]:
        """What is said, and to whom. Where nothing is, is not told to strangers."""
        caller, role = Caller(), match.route.role if match else Role.READ
        try:
            origin_of(request)  # Before anything is done: a name that is none cannot stand in the answer.
            check_length(request, self.settings.http_max_body_bytes)
            if role is not None:
                caller = self._guard.identify(request)
                caller.check(role)
            return Answer(status=404) if match is None else await self._run(match, request, caller), caller
        except Refused as error:
            return error.answer, caller
        except Exception as error:
            return answer_of(error), caller

    async def _run(self, match: Match, request: Request, caller: Caller) -> Answer:
        query = Query(request.query_params.multi_items())
        return await match.route.run(
            Call(request, match.params, query, caller, self._clients, self.settings, match.route.rpc)
        )


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
