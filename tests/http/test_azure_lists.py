"""Lists of instances in pages, and purges: one, and by filter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from redurable.core.messages import Rewind
from redurable.core.values import Parent
from redurable.store.memory import MemoryStore
from redurable.store.memory.state import memory_hub
from redurable.testing.conformance import scenes
from tests.http.conftest import Api
from tests.http.test_azure_routes import start


async def test_lists_in_pages(api: Api) -> None:
    for number in range(5):
        await start(api, "Echo", f"a-{number}", number)
        await api.end_of(f"a-{number}")
    await start(api, "Approval", "b-1")
    seen: list[str] = []
    token, pages = "", 0
    while token or not pages:
        headers = {"x-ms-continuation-token": token} if token else {}
        said = await api.http.get("/instances", params={"top": 2}, headers=headers)
        assert said.status_code == 200
        seen += [item["instanceId"] for item in said.json()]
        token, pages = said.headers["x-ms-continuation-token"], pages + 1
    assert sorted(seen) == [*(f"a-{number}" for number in range(5)), "b-1"]
    assert pages >= 3

    async def ids(**params: Any) -> list[str]:
        said = await api.http.get("/instances", params=params)
        return sorted(item["instanceId"] for item in said.json())

    assert await ids(instanceIdPrefix="b-") == ["b-1"]
    assert len(await ids(runtimeStatus="Completed")) == 5
    assert len(await ids(runtimeStatus="Completed,Pending,running")) == 6
    assert len(await ids(runtimeStatus=["Completed", "Running", "Pending"])) == 6
    assert await ids(runtimeStatus="ContinuedAsNew") == []
    assert len(await ids(runtimeStatus="Bogus")) == 6  # As Azure.
    hour = timedelta(hours=1)
    now = datetime.now(UTC)
    assert len(await ids(createdTimeFrom=(now - hour).isoformat())) == 6
    assert await ids(createdTimeFrom=(now + hour).strftime("%Y-%m-%dT%H:%M:%SZ")) == []
    assert await ids(createdTimeTo=(now - hour).strftime("%m/%d/%Y %H:%M:%S")) == []
    assert await ids(createdTimeFrom=now.isoformat(), createdTimeTo=(now - hour).isoformat()) == []
    assert len(await ids(createdTimeFrom="nonsense", top="many")) == 6
    assert len(await ids(top="0")) == 6
    said = await api.http.get("/instances", headers={"x-ms-continuation-token": "nonsense"})
    assert said.status_code == 400


async def test_purge_one(api: Api) -> None:
    await start(api, "Echo", "one", 1)
    await api.end_of("one")
    said = await api.http.delete("/instances/one")
    assert (said.status_code, said.json()) == (200, {"instancesDeleted": 1})
    assert (await api.http.delete("/instances/one")).status_code == 404
    await start(api, "Approval", "two")
    said = await api.http.delete("/instances/two")
    assert (said.status_code, said.json()) == (200, {"instancesDeleted": 0})
    assert (await api.http.get("/instances/two")).status_code == 202


async def test_purge_of_one_that_a_rewound_parent_waits_for(client_only: Api) -> None:
    store = MemoryStore(memory_hub(client_only.client.hub), "w1")
    await store.open()
    await scenes.finished(store)
    await scenes.send(store, "one", Rewind(parent=Parent("mother", "m1", 1), heir="m2"))
    said = await client_only.http.delete("/instances/one")
    assert (said.status_code, said.json()) == (200, {"instancesDeleted": 0})
    said = await client_only.http.delete("/instances", params={"createdTimeFrom": "2020-01-01T00:00:00Z"})
    assert said.status_code == 404
    assert (await client_only.http.get("/instances/one")).status_code == 200


async def test_purge_by_filter(api: Api) -> None:
    await start(api, "Echo", "one", 1)
    await start(api, "Order", "two", "nothing")
    await start(api, "Approval", "three")
    await api.end_of("one")
    await api.end_of("two")
    old, soon = "2020-01-01", (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    async def purge(**params: str) -> tuple[int, Any]:
        said = await api.http.delete("/instances", params=params)
        return said.status_code, said.json() if said.content else None

    assert await purge() == (400, "Please provide value for 'createdTimeFrom' parameter.")
    assert (await purge(createdTimeFrom="nonsense"))[0] == 400
    assert (await purge(createdTimeFrom=old, createdTimeTo="nonsense"))[0] == 400
    assert (await purge(createdTimeFrom=old, runtimeStatus="Complet"))[0] == 400
    assert await purge(createdTimeFrom=soon) == (404, None)
    assert await purge(createdTimeFrom=old, runtimeStatus="Running") == (404, None)
    assert await purge(createdTimeFrom=old, runtimeStatus="Failed") == (200, {"instancesDeleted": 1})
    assert await purge(createdTimeFrom=old, createdTimeTo=soon) == (200, {"instancesDeleted": 1})
    assert await purge(createdTimeFrom=old) == (404, None)
    assert [item["instanceId"] for item in (await api.http.get("/instances")).json()] == ["three"]
