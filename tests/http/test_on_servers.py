"""The API on real servers, and with the rights of a client and no others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from redurable import Client, Worker
from redurable.http import ManagementApi
from redurable.http.payloads import WEBHOOKS
from redurable.store.redis.acl import Role, rule, user
from tests.http.apps import app, broken
from tests.http.serving import serving, speaking
from tests.integration.conftest import server
from tests.support.processes import until
from tests.support.servers import Server

__all__ = ["server"]


@pytest.fixture
def address(server: Server, hub: str) -> str:
    """The server, for a user with the role of a client."""
    opened: Any = server.client()
    with opened as redis:
        redis.execute_command(rule(hub, Role.CLIENT))
        redis.execute_command(f"ACL SETUSER {user(hub, Role.CLIENT)} >pw")
    return server.url.replace("unix://", f"unix://{user(hub, Role.CLIENT)}:pw@")


async def test_everything_once(server: Server, hub: str, address: str) -> None:
    broken.clear()
    broken.add("pears")
    async with (
        Worker(app, server.url, hub=hub).running(),
        Client(address, hub=hub) as client,
        serving(ManagementApi(client)) as url,
        speaking(base_url=f"{url}{WEBHOOKS}", timeout=30) as http,
    ):
        wait = {"timeout": 20, "pollingInterval": 1}
        said = await http.post("/orchestrators/Hello/one", json="tokyo", params=wait)
        assert (said.status_code, said.json()) == (200, "TOKYO")
        assert (await http.post("/orchestrators/Nothing")).status_code == 400
        said = await http.post("/orchestrators/Order/two", json="pears", params=wait)
        assert said.json()["runtimeStatus"] == "Failed"
        broken.clear()
        assert (await http.post("/instances/two/rewind")).status_code == 202
        await client.get_handle("two").result(timeout=20)
        said = await http.post("/instances/two/restart", params={**wait, "restartWithNewInstanceId": False})
        assert (said.status_code, said.json()) == (200, "pears")
        await http.post("/orchestrators/Approval/three")
        assert (await http.post("/instances/three/suspend")).status_code == 202
        assert (await http.post("/instances/three/resume")).status_code == 202
        assert (await http.post("/instances/three/raiseEvent/Approval", json=1)).status_code == 202
        await client.get_handle("three").result(timeout=20)
        listed = (await http.get("/instances", params={"runtimeStatus": "Completed"})).json()
        assert sorted(item["instanceId"] for item in listed) == ["one", "three", "two"]
        async with speaking(base_url=url) as process:

            async def is_idle() -> bool:
                return (await process.get("/scaler")).json() == 0

            await until(is_idle, "nothing is left to do")
            assert (await process.get("/readyz")).status_code == 200
        assert (await http.delete("/instances/one")).json() == {"instancesDeleted": 1}
        yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        said = await http.delete("/instances", params={"createdTimeFrom": yesterday})
        assert said.json() == {"instancesDeleted": 2}
