"""Every route answers as the OpenAPI document says: with success at least once, with each status that the document
names, and with no other. Both are read from the table of routes, so a new route is tested by being there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import anyio
import httpx2
import pytest

from redurable import Client, Handle, OrchestrationFailed
from redurable.errors import StoreUnavailable
from redurable.http import ManagementApi, read_keys
from redurable.http.metrics import HttpMetrics
from redurable.http.openapi import document
from redurable.http.router import Route
from redurable.http.routes import all_routes
from redurable.settings import HttpSettings
from tests.http.conftest import Api
from tests.http.serving import serving, speaking

ROUTES = all_routes(HttpMetrics())
IDS = [f"{route.method} {route.template}" for route in ROUTES]
KEYS = read_keys("look:read:reader-0123456789")
DOCUMENT = document("")
STATES = ["missing", "running", "failed", "done"]
DECISIVE = [
    ("timeout", {"timeout": "20", "pollingInterval": "1"}),
    ("restartWithNewInstanceId", {"restartWithNewInstanceId": "false"}),
    ("returnInternalServerErrorOnFailure", {"returnInternalServerErrorOnFailure": "true"}),
    ("purgedFrom", {"createdTimeFrom": "2020-01-01"}),
    ("purgedFrom", {"createdTimeFrom": "2999-01-01"}),
]
"""Parameters on which a status depends."""

NEVER = {
    # Azure's HttpApiHandler.HandleGetEntityRequestAsync: "if (!response.EntityExists) … HttpStatusCode.NotFound".
    "GET /entities/{entityName}/{entityKey}",
    # Azure's EntityId throws ArgumentNullException for a name that is empty, which HandleRequestAsync answers with 400;
    # for others DurableClient.SignalEntityAsyncInternal calls ThrowIfFunctionDoesNotExist, an ArgumentException: 400.
    "POST /entities",
    "POST /entities/{entityName}",
    "POST /entities/{entityName}/{entityKey}",
    # Azure's HandlePostEntityOperationRequestAsync is for both methods; DELETE is the operation "delete".
    "DELETE /entities",
    "DELETE /entities/{entityName}",
    "DELETE /entities/{entityName}/{entityKey}",
}
"""What Azure itself answers with 4xx in a hub without entities, as in every hub of redurable."""


def short(route: Route) -> str:
    template = route.template.removeprefix("/runtime/webhooks").removeprefix("/durabletask")
    return f"{route.method} {template}"


def described(route: Route) -> dict[str, Any]:
    """What the document says of a route."""
    return DOCUMENT["paths"][route.template][route.method.lower()]


def documented(route: Route) -> set[int]:
    """The statuses that the document names."""
    return {int(status) for status in described(route)["responses"]}


def target(route: Route, instance: str) -> str:
    names = {"instanceId": instance, "eventName": "Approval", "functionName": "Echo", "entityName": "E"}
    return route.template.format_map({**names, "entityKey": "k"})


async def ask(api: ManagementApi, route: Route, instance: str = "one", **options: Any) -> httpx2.Response:
    transport = httpx2.ASGITransport(api, client=(options.pop("peer", "127.0.0.1"), 1))
    headers = {"content-type": "application/json"} | options.pop("headers", {})
    async with speaking(transport, base_url="http://127.0.0.1", timeout=20) as http:
        return await http.request(route.method, target(route, instance), headers=headers, **options)


async def in_state(client: Client, state: str) -> str:
    """A new instance; `missing`: only the id of one."""
    instance = uuid4().hex
    if state != "missing":
        name, value = {"running": ("Approval", None), "failed": ("Order", "nothing"), "done": ("Echo", 1)}[state]
        handle = await client.start(name, *([] if value is None else [value]), instance_id=instance)
        if state != "running":
            await handle.result(timeout=20) if state == "done" else await failed(handle)
    return instance


async def failed(handle: Handle[object]) -> None:
    with pytest.raises(OrchestrationFailed):
        await handle.result(timeout=20)


async def outcomes(client: Client, route: Route) -> set[int]:
    """What is answered for instances in all states, with each of the parameters on which that depends."""
    api = ManagementApi(client, keys=())
    names = {part["$ref"].rpartition("/")[2] for part in described(route)["parameters"]}
    queries = [{}, *(query for name, query in DECISIVE if name in names)]
    states = STATES if "instanceId" in names else ["done"]
    told: set[int] = set()
    for state in states:
        for query in queries:
            if state != "running" or "timeout" not in query:  # That would wait.
                said = await ask(api, route, await in_state(client, state), params=query, content=b"1")
                told.add(said.status_code)
    return told


async def refusals(client: Client, route: Route, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """What is answered to who may not ask, or not so, and by a server with a defect."""
    bare = ManagementApi(client, keys=())
    said = [
        await ask(ManagementApi(client, keys=KEYS), route),
        await ask(bare, route, peer="10.0.0.7"),
        await ask(bare, route, headers={"host": "no host"}),
    ]
    with monkeypatch.context() as patched:
        patched.setattr("redurable.http.app.Call", _defect)
        said.append(await ask(bare, route))
    assert "a secret" not in said[-1].text
    return {answer.status_code for answer in said}


def _defect(*_: object) -> None:
    raise RuntimeError("a secret")


async def sent(*chunks: bytes, ends: bool = True) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    if not ends:
        await anyio.sleep_forever()


async def limits(client: Client, route: Route) -> set[int]:
    """What is answered to a body that says that it is too large, to one that is, and to one that does not come. Who
    reads it, has a limit for both, and the document says so."""
    api = ManagementApi(client, keys=(), settings=HttpSettings(http_max_body_bytes=100, http_body_timeout_ms=20))
    bodies: list[Callable[[], Any]] = [lambda: b"1" * 101, lambda: sent(b"1" * 60, b"1" * 60), lambda: sent(ends=False)]
    announced, large, slow = [
        (await ask(api, route, await in_state(client, "running"), content=body())).status_code for body in bodies
    ]
    reads = 408 in documented(route)
    assert announced == 413
    assert (large == 413, slow == 408) == (reads, reads)
    return {announced, *([slow] if reads else [])}


@pytest.fixture(scope="module")
async def full() -> AsyncIterator[str]:
    """A server that has as many requests as it takes."""
    async with Client("memory://", hub="full") as client, serving(ManagementApi(client), limit_concurrency=1) as url:
        yield url


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
async def test_a_route_answers_what_the_document_says_and_nothing_else(
    shared: Api, full: str, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = shared.client
    told = await outcomes(client, route)
    assert any(200 <= status < 300 for status in told) is (short(route) not in NEVER)
    told |= await limits(client, route) | await refusals(client, route, monkeypatch)
    async with speaking(base_url=full) as http:
        told.add((await http.request(route.method, target(route, "one"))).status_code)
    assert told == documented(route)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.role is not None], ids=lambda route: short(route))
async def test_hubs_and_stores_that_are_not_there(
    client: Client, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = ManagementApi(client, keys=())
    hubless = short(route).split()[1] in ("/metrics", "/makeprimary") or "/entities" in route.template
    said = await ask(api, route, params={"taskHub": "elsewhere"}, json=1)
    assert said.status_code == 400 or hubless

    async def away(*_: object, **__: object) -> Any:
        raise StoreUnavailable("the host is away")

    monkeypatch.setattr("redurable.client.link.Link._repeat", away)
    said = await ask(api, route, params={"createdTimeFrom": "2020-01-01"}, json=1)
    assert said.status_code == 503 or hubless
    assert "the host" not in said.text
    assert said.status_code != 503 or (said.headers["retry-after"], bool(said.json())) == ("5", True)
