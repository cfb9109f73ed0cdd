"""Every route answers as the OpenAPI document says: with success at least once, and with each error that all share."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from redurable import Client
from redurable.errors import StoreUnavailable
from redurable.http import ManagementApi, read_keys
from redurable.http.metrics import HttpMetrics
from redurable.http.openapi import document
from redurable.http.router import Route
from redurable.http.routes import all_routes
from tests.http.apps import broken
from tests.http.conftest import Api
from tests.http.serving import speaking

ROUTES = all_routes(HttpMetrics())
IDS = [f"{route.method} {route.template}" for route in ROUTES]
KEYS = read_keys("look:read:reader-0123456789")

NEVER = {
    # Azure's HttpApiHandler.HandleGetEntityRequestAsync: "if (!response.EntityExists) return NotFound".
    "GET /entities/{entityName}/{entityKey}",
    # Azure's HandlePostEntityOperationRequestAsync signals the entity functions of its app. One without such functions
    # throws ArgumentException, "The entity function … does not exist": 400, in DurableClient.SignalEntityAsync.
    "POST /entities",
    "POST /entities/{entityName}",
    "POST /entities/{entityName}/{entityKey}",
    # Azure's HandleDeleteEntityRequestAsync does the same with the operation "delete".
    "DELETE /entities",
    "DELETE /entities/{entityName}",
    "DELETE /entities/{entityName}/{entityKey}",
}
"""What Azure itself answers with 4xx in a hub without entities, as in every hub of redurable."""


def short(route: Route) -> str:
    template = route.template.removeprefix("/runtime/webhooks").removeprefix("/durabletask")
    return f"{route.method} {template}"


def documented(route: Route) -> set[int]:
    """The statuses that the document names."""
    return {int(status) for status in document("")["paths"][route.template][route.method.lower()]["responses"]}


async def instance_for(api: Api, route: Route) -> str:
    """An instance that is in the state that the route is for."""
    instance = uuid4().hex
    last = route.template.rpartition("/")[2]
    orchestrator = "Order" if last == "rewind" else "Echo" if route.method == "DELETE" else "Approval"
    await api.client.start(orchestrator, "nothing" if last == "rewind" else None, instance_id=instance)
    if last == "resume":
        await api.client.suspend(instance)
    if orchestrator != "Approval":
        await api.end_of(instance)
    return instance


def target(route: Route, instance: str) -> str:
    names = {"instanceId": instance, "eventName": "Approval", "functionName": "Echo", "entityName": "E"}
    return route.template.format_map({**names, "entityKey": "k"})


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
async def test_a_route_answers_2xx(shared: Api, route: Route) -> None:
    known = "/instances/{instanceId}" in route.template
    instance = await instance_for(shared, route) if known else uuid4().hex
    if route.method == "DELETE" and route.template.endswith("/instances"):
        await instance_for(shared, route)
    body: dict[str, Any] = {"json": 1} if route.template.endswith("{eventName}") else {}
    query = {"createdTimeFrom": "2020-01-01"} if short(route) == "DELETE /instances" else {}
    async with speaking(base_url=shared.url, timeout=20) as http:
        said = await http.request(route.method, target(route, instance), params=query, **body)
    assert (200 <= said.status_code < 300) is (short(route) not in NEVER), said.text
    assert said.status_code in documented(route)
    assert "nothing" in broken


async def ask(api: ManagementApi, route: Route, **options: Any) -> httpx2.Response:
    transport = httpx2.ASGITransport(api, client=(options.pop("peer", "127.0.0.1"), 1))
    async with speaking(transport, base_url="http://127.0.0.1") as http:
        return await http.request(route.method, target(route, "one"), **options)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.role is not None], ids=lambda route: short(route))
async def test_the_errors_that_all_routes_share(client: Client, route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed, bare = ManagementApi(client, keys=KEYS), ManagementApi(client, keys=())
    hubless = short(route).split()[1] in ("/metrics", "/makeprimary") or "/entities" in route.template
    assert (await ask(keyed, route)).status_code == 401
    assert (await ask(bare, route, peer="10.0.0.7")).status_code == 403
    assert {401, 403} <= documented(route)
    said = await ask(bare, route, params={"taskHub": "elsewhere"}, json=1)
    assert said.status_code == 400 or hubless
    assert said.status_code in documented(route)

    async def away(*_: object, **__: object) -> Any:
        raise StoreUnavailable("the host is away")

    monkeypatch.setattr("redurable.client.link.Link._repeat", away)
    said = await ask(bare, route, params={"createdTimeFrom": "2020-01-01"}, json=1)
    assert said.status_code == 503 or hubless
    assert said.status_code in documented(route)
    assert "the host" not in said.text
    assert said.status_code != 503 or (said.headers["retry-after"], bool(json.loads(said.content))) == ("5", True)
