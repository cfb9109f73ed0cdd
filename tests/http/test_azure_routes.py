"""Every route of Azure's management API: its statuses, headers and payloads, over real HTTP."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from redurable.http.metrics import HttpMetrics
from redurable.http.payloads import RPC, WEBHOOKS
from redurable.http.routes import all_routes
from tests.http.apps import broken
from tests.http.conftest import Api
from tests.http.serving import speaking
from tests.support.processes import until

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
MISSING = "/instances/nobody"
URIS = {
    "statusQueryGetUri": "?",
    "sendEventPostUri": "/raiseEvent/{eventName}?",
    "terminatePostUri": "/terminate?reason={text}&",
    "purgeHistoryDeleteUri": "?",
    "restartPostUri": "/restart?",
    "suspendPostUri": "/suspend?reason={text}&",
    "resumePostUri": "/resume?reason={text}&",
}

# method, path, expected status where there is no such instance or thing, and for a finished instance.
TABLE = [
    ("GET", "/instances/{id}", 404, 200),
    ("DELETE", "/instances/{id}", 404, 200),
    ("POST", "/instances/{id}/raiseEvent/Approval", 404, 410),
    ("POST", "/instances/{id}/terminate", 404, 410),
    ("POST", "/instances/{id}/suspend", 404, 410),
    ("POST", "/instances/{id}/resume", 404, 410),
    ("POST", "/instances/{id}/rewind", 404, 410),
    ("POST", "/instances/{id}/restart", 400, 202),
    ("GET", "/entities/Counter/one", 404, 404),
    ("GET", "/entities/Counter/$", 404, 404),
    ("GET", "/entities", 200, 200),
    ("GET", "/entities/Counter", 200, 200),
    ("POST", "/entities/Counter/one?op=add", 400, 400),
    ("POST", "/entities/Counter", 400, 400),
    ("POST", "/entities", 400, 400),
    ("DELETE", "/entities/Counter/one", 400, 400),
    ("DELETE", "/entities/Counter", 400, 400),
    ("DELETE", "/entities", 400, 400),
    ("DELETE", "/instances", 400, 400),
    ("GET", "/instances", 200, 200),
    ("POST", "/makeprimary", 200, 200),
]


async def start(api: Api, name: str, instance: str, body: Any = None, **query: Any) -> httpx2.Response:
    path = f"/orchestrators/{name}/{instance}"
    content = b"" if body is None else json.dumps(body).encode()
    return await api.http.post(path, params=query, content=content)


async def ask(api: Api, method: str, path: str) -> httpx2.Response:
    if "raiseEvent" in path:
        return await api.http.request(method, path, json=1)
    return await api.http.request(method, path)


@pytest.mark.parametrize(("method", "path", "missing", "finished"), TABLE, ids=[f"{m} {p}" for m, p, *_ in TABLE])
async def test_every_route_for_who_is_not_there_and_for_who_has_finished(
    shared: Api, method: str, path: str, missing: int, finished: int
) -> None:
    said = await ask(shared, method, path.replace("{id}", "nobody"))
    assert said.status_code == missing
    assert missing != 404 or said.content == b""
    done = f"done-{uuid4().hex}"
    assert (await start(shared, "Echo", done, 1, timeout=20, pollingInterval=1)).status_code == 200
    said = await ask(shared, method, path.replace("{id}", done))
    assert said.status_code == finished
    assert finished != 410 or said.content == b""


async def test_without_a_hub_there_is_nothing(client_only: Api) -> None:
    for method, path, missing, _ in TABLE:
        said = await ask(client_only, method, path.replace("{id}", "nobody"))
        assert said.status_code == missing, (method, path)


def test_the_table_has_every_route() -> None:
    templates = {
        (route.method, route.template.removeprefix(WEBHOOKS))
        for route in all_routes(HttpMetrics())
        if route.template.startswith(WEBHOOKS)
    }
    tested = {(method, path.split("?")[0]) for method, path, *_ in TABLE}
    shapes = {(method, path.replace("{id}", "x").count("/"), path.split("/")[-1].lower()) for method, path in tested}
    for method, template in templates:
        if "orchestrators" in template:
            continue  # Below.
        last = template.split("/")[-1]
        assert any(
            method == kind and template.count("/") == depth and (last.startswith("{") or last.lower() == word)
            for kind, depth, word in shapes
        ), template


async def test_a_start_tells_how_to_manage_the_instance(api: Api) -> None:
    said = await start(api, "Approval", "order-42")
    assert (said.status_code, said.headers["retry-after"]) == (202, "10")
    assert said.headers["content-type"] == "application/json; charset=utf-8"
    body = said.json()
    prefix, suffix = f"{api.url}{WEBHOOKS}/instances/order-42", f"taskHub={api.client.hub}&connection=Storage"
    assert body == {"id": "order-42"} | {name: f"{prefix}{rest}{suffix}" for name, rest in URIS.items()}
    assert said.headers["location"] == body["statusQueryGetUri"]
    again = await api.http.get(said.headers["location"])
    assert (again.status_code, again.json()["instanceId"]) == (202, "order-42")


async def test_a_status_while_it_goes_on_and_at_its_end(api: Api) -> None:
    await start(api, "Approval", "one")
    url = f"{api.url}{WEBHOOKS}/instances/one?taskHub={api.client.hub}&connection=Other"
    said = await api.http.get(url)
    assert (said.status_code, said.headers["retry-after"], said.headers["location"]) == (202, "5", url)
    body = said.json()
    assert list(body) == [
        *("name", "instanceId", "runtimeStatus", "input", "customStatus", "output", "createdTime", "lastUpdatedTime")
    ]
    assert body["name"] == "Approval"
    assert body["runtimeStatus"] in ("Pending", "Running")
    assert STAMP.fullmatch(body["createdTime"])
    assert STAMP.fullmatch(body["lastUpdatedTime"])
    told = await api.http.post("/instances/one/raiseEvent/Approval", json={"ok": True})
    assert (told.status_code, told.content) == (202, b"")
    await api.end_of("one")
    said = await api.http.get("/instances/one")
    assert (said.status_code, said.json()["output"], said.json()["runtimeStatus"]) == (200, {"ok": True}, "Completed")
    assert "location" not in said.headers
    assert "retry-after" not in said.headers


async def test_inputs_are_shown_unless_they_are_not_wanted(shared: Api) -> None:
    await start(shared, "Hello", "shown-one", "tokyo")
    await shared.end_of("shown-one")
    shown = (await shared.http.get("/instances/shown-one")).json()
    assert (shown["input"], shown["output"], shown["customStatus"]) == ("tokyo", "TOKYO", {"step": 1})
    assert (await shared.http.get("/instances/shown-one", params={"showInput": "False"})).json()["input"] is None
    assert (await shared.http.get("/instances", params={"SHOWINPUT": "false"})).json()[0]["input"] is None


async def test_failed_terminated_and_canceled_instances(api: Api) -> None:
    await start(api, "Order", "f", "nothing")
    await start(api, "Approval", "t")
    assert (await api.http.post("/instances/t/terminate", params={"reason": "no stock"})).status_code == 202
    await start(api, "Approval", "c")
    await api.client.cancel("c", "because")
    for instance in "ftc":
        await api.end_of(instance)
    failed, ended, canceled = [(await api.http.get(f"/instances/{instance}")) for instance in "ftc"]
    assert [said.status_code for said in (failed, ended, canceled)] == [200, 200, 200]
    assert failed.json()["runtimeStatus"] == "Failed"
    assert failed.json()["output"].startswith("Orchestrator function 'Order' failed: ")
    assert (ended.json()["runtimeStatus"], ended.json()["output"]) == ("Terminated", "no stock")
    assert (canceled.json()["runtimeStatus"], canceled.json()["output"]) == ("Canceled", "because")
    await start(api, "Approval", "u")
    await api.http.post("/instances/u/terminate")
    await api.end_of("u")
    assert (await api.http.get("/instances/u")).json()["output"] is None
    wanted = {"returnInternalServerErrorOnFailure": "true"}
    assert (await api.http.get("/instances/f", params=wanted)).status_code == 500
    assert (await api.http.get("/instances/t", params=wanted)).status_code == 200


async def test_who_waits_gets_the_bare_output(api: Api) -> None:
    said = await start(api, "Hello", "one", "tokyo", timeout=20, pollingInterval=1)
    assert (said.status_code, said.json()) == (200, "TOKYO")
    wanted = {"returnInternalServerErrorOnFailure": True}  # Azure reads that where a status is asked for, only.
    said = await start(api, "Order", "two", "nothing", timeout=20, pollingInterval=1, **wanted)
    assert (said.status_code, said.json()["runtimeStatus"]) == (200, "Failed")
    said = await start(api, "Approval", "three", timeout=0.05, pollingInterval=0.01)
    assert (said.status_code, said.json()["id"], said.headers["retry-after"]) == (202, "three", "10")
    said = await start(api, "Echo", "four", 1, timeout=1)  # Azure wants both.
    assert said.status_code == 202
    said = await start(api, "Echo", "five", 1, timeout=1, pollingInterval=2)
    assert (said.status_code, said.json()["ExceptionMessage"]) == (
        400,
        "Total timeout 1 should be bigger than retry timeout 2",
    )
    assert (await api.http.get("/instances/five")).status_code == 404  # Nothing was started.


@pytest.mark.parametrize("body", [b"{", b"{'a': 1}", b"NaN", b"\xff", b"[" * 1000, b'"\\ud800"', b"1 2"])
async def test_bad_json_is_refused(shared: Api, body: bytes) -> None:
    said = await shared.http.post("/orchestrators/Echo/bad-one", content=body)
    assert (said.status_code, said.json()["Message"]) == (400, "Invalid JSON content")
    assert {"Message", "ExceptionMessage", "ExceptionType", "StackTrace"} == said.json().keys()
    assert (await shared.http.get("/instances/bad-one")).status_code == 404
    await start(shared, "Approval", "bad-two")
    said = await shared.http.post(
        "/instances/bad-two/raiseEvent/Approval", content=body, headers={"content-type": "application/json"}
    )
    assert (said.status_code, said.json()["Message"]) == (400, "Invalid JSON content")


@pytest.mark.parametrize("instance", ["@counter@one", "a%2Fb", "a%5Cb", "a%3Fb", "a%23b", "a%00b", "x" * 257])
async def test_ids_that_azure_does_not_take(shared: Api, instance: str) -> None:
    said = await shared.http.post(f"/orchestrators/Echo/{instance}")
    assert said.status_code == 400
    assert said.json()["ExceptionMessage"]


async def test_an_id_that_is_no_text_starts_none_with_another(shared: Api) -> None:
    assert (await shared.http.post("/orchestrators/Echo/odd%ff")).status_code == 404
    assert (await shared.http.get("/instances?instanceIdPrefix=odd")).json() == []


async def test_an_id_from_elsewhere_may_hold_a_slash(shared: Api) -> None:
    await shared.client.start("Approval", instance_id="tenant/a b+c%")
    said = await shared.http.get("/instances/tenant%2Fa%20b+c%25?x=%C3%BC")
    assert said.json()["instanceId"] == "tenant/a b+c%"
    assert said.headers["location"] == f"{shared.url}{WEBHOOKS}/instances/tenant%2Fa%20b+c%25?x=%C3%BC"
    said = await start(shared, "Approval", "größe%20")
    assert (await shared.http.get(said.headers["location"])).json()["instanceId"] == "größe "
    assert (await shared.http.post("/instances/tenant%2Fa%20b+c%25/terminate")).status_code == 202


async def test_an_orchestrator_that_nobody_knows(shared: Api) -> None:
    said = await start(shared, "Nothing", "unknown-one")
    assert said.status_code == 400
    assert said.json()["ExceptionMessage"] == (
        "The function 'Nothing' doesn't exist, is disabled, or is not an orchestrator function. Additional info: The "
        "following are the known orchestrator functions: 'Approval', 'Echo', 'Everything', 'Hello', 'Order'."
    )
    assert (await shared.http.get("/instances/unknown-one")).status_code == 404


async def test_without_workers_a_start_waits(client_only: Api) -> None:
    said = await client_only.http.post("/orchestrators/Nothing/one", json=1)
    assert said.status_code == 202
    assert (await client_only.http.get("/instances/one")).json()["runtimeStatus"] == "Pending"


async def test_a_finished_instance_is_replaced_and_a_running_one_is_not(api: Api) -> None:
    await start(api, "Echo", "one", 1, timeout=20, pollingInterval=1)
    assert (await start(api, "Echo", "one", 2, timeout=20, pollingInterval=1)).json() == 2
    await start(api, "Approval", "two")
    await until_running(api, "two")
    said = await start(api, "Approval", "two")
    assert said.status_code == 409
    again = await api.http.post("/instances/two/restart?restartWithNewInstanceId=false")
    assert (again.status_code, again.json()) == (409, said.json())
    assert said.json()["ExceptionMessage"] == "An Orchestration instance with the status Running already exists."
    assert said.json()["ExceptionType"] == "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException"


async def until_running(api: Api, instance: str) -> None:
    async def runs() -> bool:
        return (await api.client.get_status(instance)).runtime_status == "Running"

    await until(runs, f"{instance} runs")


async def test_only_json_can_be_raised(shared: Api) -> None:
    await start(shared, "Approval", "media-one")
    none: dict[str, str] = {}
    for headers in (none, {"content-type": "text/plain"}, {"content-type": "application/xml"}):
        said = await shared.http.post("/instances/media-one/raiseEvent/Approval", content="1", headers=headers)
        assert (said.status_code, said.json()) == (
            400,
            {"Message": "Only application/json request content is supported"},
        )
    for media in ("application/json", "Application/JSON; charset=utf-8"):
        said = await shared.http.post(
            "/instances/media-one/raiseEvent/Other", content="1", headers={"content-type": media}
        )
        assert said.status_code == 202
    said = await shared.http.post(
        "/instances/media-one/raiseEvent/Approval", headers={"content-type": "application/json"}
    )
    assert said.status_code == 400  # An empty body is no JSON.


async def test_nothing_is_kept_of_an_event_for_nobody(api: Api) -> None:
    await start(api, "Echo", "other", 1)
    assert (await api.http.post(f"{MISSING}/raiseEvent/Approval", json=1)).status_code == 404
    await start(api, "Approval", "nobody")
    await until_running(api, "nobody")
    status = await api.client.get_status("nobody")
    assert (status.unread_events, status.unread_mail) == ({}, 0)


async def test_an_event_with_a_key_is_raised_once(shared: Api) -> None:
    await start(shared, "Approval", "key-one")
    for _ in range(2):
        said = await shared.http.post("/instances/key-one/raiseEvent/Other", json=1, headers={"idempotency-key": "k"})
        assert said.status_code == 202

    async def read() -> bool:
        status = await shared.client.get_status("key-one")
        return status.unread_mail == 0 and status.unread_events == {"Other": 1}

    await until(read, "both were read")


async def test_suspend_and_resume(shared: Api) -> None:
    await start(shared, "Approval", "hold-one")
    assert (await shared.http.post("/instances/hold-one/suspend", params={"reason": "audit"})).status_code == 202

    async def suspended() -> bool:
        return (await shared.http.get("/instances/hold-one")).json()["runtimeStatus"] == "Suspended"

    await until(suspended, "it is suspended")
    assert (await shared.http.get("/instances/hold-one")).status_code == 202
    assert (await shared.http.post("/instances/hold-one/suspend")).status_code == 202  # It is as was asked.
    assert (await shared.http.post("/instances/hold-one/resume?reason=")).status_code == 202
    await shared.http.post("/instances/hold-one/raiseEvent/Approval", json=7)
    await shared.end_of("hold-one")
    assert (await shared.http.get("/instances/hold-one")).json()["output"] == 7


async def test_rewind(api: Api) -> None:
    broken.add("apples")
    await start(api, "Order", "one", "apples")
    await api.end_of("one")
    broken.discard("apples")
    said = await api.http.post("/instances/one/rewind", params={"reason": "they came"})
    assert (said.status_code, said.content) == (202, b"")
    await api.end_of("one")
    shown = (await api.http.get("/instances/one", params={"showHistory": True})).json()
    assert shown["output"] == "apples"
    (rewound,) = [event for event in shown["historyEvents"] if event["EventType"] == "ExecutionRewound"]
    assert rewound["Reason"] == "they came"
    await start(api, "Approval", "two")
    said = await api.http.post("/instances/two/rewind")
    assert (said.status_code, said.json()["ExceptionType"]) == (409, "System.InvalidOperationException")


async def test_restart(api: Api) -> None:
    await start(api, "Hello", "one", "tokyo", timeout=20, pollingInterval=1)
    said = await api.http.post("/instances/one/restart")
    assert (said.status_code, said.headers["retry-after"]) == (202, "10")
    assert said.json()["id"] != "one"
    assert said.headers["location"] == said.json()["statusQueryGetUri"]
    await api.end_of(said.json()["id"])
    assert (await api.http.get(f"/instances/{said.json()['id']}")).json()["output"] == "TOKYO"
    said = await api.http.post(
        "/instances/one/restart", params={"restartWithNewInstanceId": "false", "timeout": 20, "pollingInterval": 1}
    )
    assert (said.status_code, said.json()) == (200, "TOKYO")
    said = await api.http.post(f"{MISSING}/restart")
    assert (said.status_code, said.json()["Message"]) == (
        400,
        "InstanceId does not match a valid orchestration instance.",
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "/orchestrators/Echo"), ("PUT", "/instances"), ("POST", "/instances"), ("PATCH", "/instances/x")),
        *(("GET", "/instances/x/terminate"), ("POST", "/instances/x/explode"), ("DELETE", "/instances/x/terminate")),
        *(("GET", "/instances/x/raiseEvent/y"), ("PUT", "/entities/a/b"), ("POST", "/nothing"), ("GET", "/")),
        *(("POST", "/instances/x/raiseEvent/y/z"), ("OPTIONS", "/instances/x"), ("POST", "/instances/x/raiseEvent")),
    ],
)
async def test_verbs_and_paths_that_are_none(shared: Api, method: str, path: str) -> None:
    said = await shared.http.request(method, path)
    assert (said.status_code, said.content) == (404, b"")


async def test_fixed_parts_are_read_in_any_case_and_hubs_too(api: Api) -> None:
    await start(api, "Approval", "One")
    hub = api.client.hub.upper()
    for path in (f"/INSTANCES/One?TASKHUB={hub}", "/Instances/One/", f"/instances/One?taskhub={hub}&connection=X"):
        assert (await api.http.get(path)).status_code == 202
    assert (await api.http.get("/instances/one")).status_code == 404
    said = await api.http.post("/Instances/One/RAISEEVENT/Approval", json=1)
    assert said.status_code == 202
    said = await api.http.get("/instances/One?taskHub=elsewhere")
    assert said.status_code == 400
    assert "elsewhere" in said.json()["ExceptionMessage"]


async def test_the_same_routes_are_where_sdks_call(api: Api) -> None:
    async with speaking(base_url=f"{api.url}{RPC}") as http:
        said = await http.post("/orchestrators/Approval/one")
        assert said.json()["statusQueryGetUri"].startswith(f"{api.url}{WEBHOOKS}/instances/one?")
        assert (await http.get("/instances/one")).status_code == 202
        assert (await http.get("/instances/")).json()[0]["instanceId"] == "one"
