"""Health, metrics, the number for autoscalers, the OpenAPI document; several hubs; a store that is away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from redurable import App, Client, OrchestrationContext, Worker
from redurable.core.events import EventRaised, ExecutionStarted
from redurable.core.values import Trace
from redurable.http import ManagementApi
from redurable.http.metrics import HttpMetrics
from redurable.http.openapi import document
from redurable.http.payloads import WEBHOOKS
from redurable.http.probes import backlog
from redurable.http.routes import all_routes
from redurable.store.depths import Depth, Depths
from tests.http.apps import app
from tests.http.conftest import Api
from tests.http.serving import serving, speaking
from tests.http.test_azure_routes import start
from tests.support.processes import until
from tests.support.servers import Server


def test_the_document_is_valid_and_has_every_route() -> None:
    said = document("http://localhost:8080")
    validate(said)
    described = {(method.upper(), path) for path, item in said["paths"].items() for method in item}
    assert described == {(route.method, route.template) for route in all_routes(HttpMetrics())}
    assert re.fullmatch(r"\d+\.\d+\..*", said["info"]["version"])
    identifiers = [does["operationId"] for item in said["paths"].values() for does in item.values()]
    assert len(set(identifiers)) == len(identifiers)
    used = set(re.findall(r"#/components/(\w+)/(\w+)", str(said)))
    parts = {(kind, name) for kind in ("parameters", "responses", "schemas") for name in said["components"][kind]}
    assert used == parts  # Nothing that is missing, and nothing that nobody needs.


async def test_the_document_is_served(api: Api) -> None:
    async with speaking(base_url=api.url) as http:
        said = await http.get("/openapi.json")
    assert said.json() == document(api.url)


async def test_the_process_says_that_it_lives_and_is_ready(api: Api) -> None:
    async with speaking(base_url=api.url) as http:
        assert [(await http.get(path)).text for path in ("/livez", "/readyz")] == ["ok", "ok"]


async def samples(url: str) -> dict[tuple[str, ...], float]:
    async with speaking(base_url=url) as http:
        said = await http.get("/metrics")
    assert said.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *(sample.labels.get(label, "") for label in ("route", "method", "code"))): sample.value
        for family in text_string_to_metric_families(said.text)
        for sample in family.samples
    }


@pytest.mark.parametrize("place", ["/manage", "/tenants/ünï 漢", "/manage/"])
async def test_an_endpoint_of_ones_own_says_where_the_api_is_mounted(client: Client, place: str) -> None:
    api = ManagementApi(client, keys=())

    async def begin(request: Request) -> Response:
        return api.check_status_response(request, "one", mounted_at=place)

    web = Starlette(routes=[Route("/begin", begin), Mount(place, app=api)])
    await client.start("wait", instance_id="one")
    transport = httpx2.ASGITransport(web, client=("127.0.0.1", 1))
    async with speaking(transport=transport, base_url="http://localhost") as http:
        said = await http.get("/begin")
        assert said.status_code == 202
        assert (await http.get(said.headers["location"])).json()["instanceId"] == "one"
        assert (await http.get(said.json()["statusQueryGetUri"])).status_code == 202


async def test_requests_are_counted_by_their_routes(api: Api) -> None:
    await start(api, "Echo", "one", 1)
    for path in ("/instances/one", "/instances/nobody", "/instances/else", "/nothing/here"):
        await api.http.get(path)
    await api.http.request("BREW", "/instances")
    found = await samples(api.url)
    total = "redurable_http_requests_total"
    instance = f"{WEBHOOKS}/instances/{{instanceId}}"
    assert found[total, instance, "GET", "404"] == 2
    assert found[total, f"{WEBHOOKS}/orchestrators/{{functionName}}/{{instanceId}}", "POST", "202"] == 1
    assert found[total, "_unknown", "GET", "404"] == 1
    assert found[total, "_unknown", "_unknown", "404"] == 1
    assert found["redurable_http_request_duration_seconds_count", instance, "GET", ""] == 3
    assert not any("nobody" in part for key in found for part in key)


async def test_the_trace_of_a_request_goes_on_in_what_it_starts_and_raises(api: Api) -> None:
    context = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "tracestate": "shop=1"}
    await api.http.post("/orchestrators/Approval/one", headers=context)
    await api.http.post("/instances/one/raiseEvent/Approval", json=1, headers=context)
    await api.http.post("/orchestrators/Approval/two", headers={"traceparent": "nonsense"})
    await api.http.post("/instances/two/raiseEvent/Approval", json=1)
    for instance, said in (("one", Trace(**context)), ("two", None)):
        await api.end_of(instance)
        begun, raised, _ = await api.client.get_history(instance)
        assert isinstance(begun, ExecutionStarted)
        assert isinstance(raised, EventRaised)
        assert (begun.trace, raised.trace) == (said, said)


async def test_the_number_for_autoscalers(client: Client, client_only: Api) -> None:
    async def number(query: str = "") -> Any:
        async with speaking(base_url=client_only.url) as http:
            said = await http.get(f"/scaler{query}")
            assert said.headers["content-type"] == "application/json; charset=utf-8"
            return said.json()

    assert await number() == 0  # There is no hub.
    for instance in ("one", "two", "three"):
        await client_only.http.post(f"/orchestrators/Hello/{instance}", json="x")
    assert await number() == 3
    assert await number("?role=orchestrations") == 3
    assert await number("?role=activities") == 0
    async with Worker(app, "memory://", hub=client.hub, roles={"orchestrations"}).running():

        async def scheduled() -> bool:
            tasks = await number("?role=activities&taskQueue=default")
            return (tasks, await number("?role=orchestrations")) == (3, 0)

        await until(scheduled, "the turns are taken and the tasks wait")
        assert await number() == 3
        assert await number("?taskQueue=default") == 3
        assert await number("?taskQueue=other") == 0
        assert await number("?role=orchestrations&role=activities") == 3
        assert "choose one or both of activities, orchestrations" in (await number("?role=activity"))["Message"]


async def test_a_queue_is_asked_for_by_its_whole_name(client: Client, client_only: Api) -> None:
    """A comma is a character of a name like others: whoever splits there scales by nothing."""
    own = App("own")

    @own.activity(task_queue="gold, vip")
    async def serve(number: int) -> int:
        return number

    @own.orchestrator
    async def order(ctx: OrchestrationContext, number: int) -> int:
        return await ctx.call_activity(serve, number)

    async with Worker(own, "memory://", hub=client.hub, roles={"orchestrations"}).running():
        await client.start(order, 1)
        async with speaking(base_url=client_only.url) as http:

            async def scheduled() -> bool:
                params = {"role": "activities", "taskQueue": "gold, vip"}
                return (await http.get("/scaler", params=params)).json() == 1

            await until(scheduled, "the task waits")


def test_what_counts_as_work() -> None:
    depths = Depths(
        now=1,
        ready=Depth(lag=1, pending=2),
        queues={"default": Depth(lag=10, pending=20), "vip": Depth(lag=100)},
        timers=5000,
        due=1000,
        intake=10_000,
        outbox=20_000,
        answers=30_000,
        dead=7,
        open=8,
    )
    assert backlog(depths) == 61_133
    assert backlog(depths, ["orchestrations"]) == 61_003
    assert backlog(depths, ["activities"]) == 130
    assert backlog(depths, ["activities"], ["vip"]) == 100
    assert backlog(depths, ["activities", "orchestrations"], ["vip"]) == 61_103


async def test_a_request_chooses_its_hub(hub: str) -> None:
    one, two = Client("memory://", hub=hub), Client("memory://", hub=f"{hub}-2")
    async with (
        one,
        two,
        serving(ManagementApi([one, two])) as url,
        speaking(base_url=f"{url}{WEBHOOKS}") as http,
    ):
        said = await http.post("/orchestrators/Echo/x", params={"taskHub": two.hub})
        assert f"taskHub={two.hub}&" in said.json()["statusQueryGetUri"]
        assert (await http.get("/instances/x")).status_code == 404
        assert (await http.get(said.json()["statusQueryGetUri"])).status_code == 202


@pytest.fixture
def frail() -> Iterator[Server]:
    running = Server("valkey9")
    yield running
    running.stop()


async def test_a_store_that_is_away(frail: Server, hub: str) -> None:
    async with (
        Client(frail.url, hub=hub, timeout=0.2) as client,
        serving(ManagementApi(client)) as url,
        speaking(base_url=url) as http,
    ):
        path = f"{WEBHOOKS}/orchestrators/Echo/one"
        assert (await http.post(path)).status_code == 202
        assert (await http.get("/readyz")).status_code == 200
        frail.kill()
        for method, target in (("POST", path), ("GET", f"{WEBHOOKS}/instances"), ("GET", "/scaler")):
            said = await http.request(method, target)
            assert (said.status_code, said.headers["retry-after"]) == (503, "5")
            assert frail.url not in said.text
            assert "sock" not in said.text
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/livez")).status_code == 200
