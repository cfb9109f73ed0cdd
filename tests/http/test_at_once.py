"""Many callers at the same time, on real servers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import httpx2
import pytest

from redurable import Client, InstanceAlreadyExists, Worker
from redurable.http import ManagementApi
from redurable.http.payloads import WEBHOOKS
from tests.http.apps import app
from tests.http.serving import serving, speaking
from tests.integration.conftest import server
from tests.support.servers import Server

__all__ = ["server"]

INSTANCES = 120


@pytest.fixture
async def real(server: Server, hub: str) -> AsyncIterator[Client]:
    async with Client(server.url, hub=hub) as client:
        yield client


@pytest.fixture
async def http(real: Client) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(ManagementApi(real)) as url, speaking(base_url=f"{url}{WEBHOOKS}", timeout=30) as http:
        yield http


async def test_fifty_starts_of_one_id_give_one_instance(server: Server, real: Client, http: httpx2.AsyncClient) -> None:
    said = await asyncio.gather(*(http.post("/orchestrators/Approval/one", json=None) for _ in range(50)))
    assert Counter(answer.status_code for answer in said) == {202: 1, 409: 49}
    async with Client(server.url, hub=real.hub) as second:
        clients = [real, second] * 25
        starts = (client.start("Approval", instance_id="two") for client in clients)
        ends = await asyncio.gather(*starts, return_exceptions=True)
        assert Counter(isinstance(end, InstanceAlreadyExists) for end in ends) == {False: 1, True: 49}
        shared = (client.start("Approval", instance_id="three", on_conflict="use-existing") for client in clients)
        handles = await asyncio.gather(*shared)
    assert Counter(bool(handle.execution) for handle in handles) == {True: 1, False: 49}
    assert await real.count_instances() == {("Approval", "Pending"): 3}
    for instance in ("one", "two", "three"):
        assert len(await real.list_executions(instance)) == 1


async def pages(http: httpx2.AsyncClient, top: int) -> list[str]:
    """The ids of all instances that were there from the beginning, page by page."""
    seen: list[str] = []
    token = ""
    while True:
        headers = {"x-ms-continuation-token": token} if token else {}
        said = await http.get("/instances", params={"top": top, "instanceIdPrefix": "old-"}, headers=headers)
        seen += [item["instanceId"] for item in said.json()]
        token = said.headers["x-ms-continuation-token"]
        if not token:
            return seen


async def test_two_pagers_see_each_instance_once_while_instances_come_and_end(
    server: Server, real: Client, http: httpx2.AsyncClient
) -> None:
    old = [f"old-{number}" for number in range(INSTANCES)]
    await asyncio.gather(*(real.start("Approval", instance_id=instance) for instance in old))
    async with Worker(app, server.url, hub=real.hub).running():

        async def stir() -> None:
            for instance in old:
                await real.start("Echo", 1, instance_id=f"new-{instance}")
                await real.raise_event(instance, "Approval", 1)

        stirring = asyncio.create_task(stir())
        rounds = 0
        while rounds < 2 or not stirring.done():
            for seen in await asyncio.gather(pages(http, 7), pages(http, 10)):
                assert sorted(seen) == sorted(old)
            rounds += 1
        await stirring
