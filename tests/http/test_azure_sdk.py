"""Azure's own Python SDK against the RPC routes, over real HTTP: it must not notice whom it talks to.

`bindings` is what the host of Azure Functions hands to a function with a durable client binding.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest

from redurable import Client, Worker
from redurable.http import ManagementApi, read_keys
from redurable.http.payloads import RPC, WEBHOOKS
from tests.http.apps import app, broken
from tests.http.conftest import Api
from tests.http.serving import serving
from tests.support.processes import until

df: Any = import_module("azure.durable_functions")  # It is hardly typed.
func: Any = import_module("azure.functions")
http_utils: Any = import_module("azure.durable_functions.models.utils.http_utils")
Sdk = Any

SECRET = "0123456789abcdef"


def bindings(url: str, hub: str, rpc: str = "") -> str:
    base, common = f"{url}{WEBHOOKS}", f"taskHub={hub}&connection=Storage"
    instance = f"{base}/instances/INSTANCEID"
    return json.dumps(
        {
            "taskHubName": hub,
            "creationUrls": {
                "createNewInstancePostUri": f"{base}/orchestrators/{{functionName}}[/{{instanceId}}]?code=x"
            },
            "managementUrls": {
                "id": "INSTANCEID",
                "statusQueryGetUri": f"{instance}?{common}",
                "sendEventPostUri": f"{instance}/raiseEvent/{{eventName}}?{common}",
                "terminatePostUri": f"{instance}/terminate?reason={{text}}&{common}",
                "rewindPostUri": f"{instance}/rewind?reason={{text}}&{common}",
                "purgeHistoryDeleteUri": f"{instance}?{common}",
            },
            "rpcBaseUrl": rpc or f"{url}{RPC}/",
        }
    )


@pytest.fixture
async def sdk(api: Api) -> AsyncIterator[Sdk]:
    yield df.DurableOrchestrationClient(bindings(api.url, api.client.hub))
    await http_utils._close_session()


async def completed(sdk: Sdk, instance: str) -> Any:
    async def ended() -> bool:
        status = (await sdk.get_status(instance)).runtime_status
        return status is not None and status.value not in ("Pending", "Running", "Suspended")

    await until(ended, f"{instance} ends")
    return await sdk.get_status(instance, show_history=True, show_history_output=True, show_input=True)


async def test_a_life_of_an_instance(sdk: Sdk) -> None:
    assert await sdk.start_new("Hello", "one", "tokyo") == "one"
    status = await completed(sdk, "one")
    assert status
    assert (status.name, status.instance_id, status.output, status.custom_status) == (
        *("Hello", "one", "TOKYO"),
        {"step": 1},
    )
    assert status.input_ == "tokyo"
    assert status.runtime_status is df.OrchestrationRuntimeStatus.Completed
    created = status.created_time
    assert created is not None
    assert abs(created - datetime.now(UTC)) < timedelta(minutes=1)
    events: list[dict[str, Any]] = status.historyEvents
    assert [event["EventType"] for event in events] == ["ExecutionStarted", "TaskCompleted", "ExecutionCompleted"]
    assert len(await sdk.start_new("Echo")) == 32


@pytest.mark.parametrize("value", [{"a": [1, None]}, "text", "5", 5, True, [1, "2"], 1.5, ""])
async def test_inputs_arrive_as_they_were_given(sdk: Sdk, value: object) -> None:
    instance = await sdk.start_new("Echo", client_input=value)
    assert (await completed(sdk, instance)).output == value


@pytest.mark.parametrize("value", [{"approved": True}, "yes", "7", 7, None])
async def test_events_arrive_as_they_were_given(sdk: Sdk, value: object) -> None:
    instance = await sdk.start_new("Approval")
    await sdk.raise_event(instance, "Approval", value)
    assert (await completed(sdk, instance)).output == value


async def test_events_for_those_who_are_not_there(sdk: Sdk) -> None:
    with pytest.raises(Exception, match="No instance with ID nobody found"):
        await sdk.raise_event("nobody", "Approval", 1)
    instance = await sdk.start_new("Echo")
    await completed(sdk, instance)
    with pytest.raises(Exception, match="is gone: either completed or failed"):
        await sdk.raise_event(instance, "Approval", 1, task_hub_name=sdk._orchestration_bindings.task_hub_name)


async def test_what_cannot_be_started(sdk: Sdk) -> None:
    with pytest.raises(Exception, match="The function 'Nothing' doesn't exist"):
        await sdk.start_new("Nothing")
    await sdk.start_new("Approval", "one")
    with pytest.raises(Exception, match="An Orchestration instance with the status"):
        await sdk.start_new("Approval", "one")


async def test_who_is_not_there_has_no_status(sdk: Sdk) -> None:
    assert not await sdk.get_status("nobody")
    assert (await sdk.purge_instance_history("nobody")).instances_deleted == 0
    with pytest.raises(Exception, match="No instance with ID 'nobody' found"):
        await sdk.terminate("nobody", "why not")


async def test_lists_and_filters(sdk: Sdk) -> None:
    await sdk.start_new("Echo", "a-1", 1)
    await sdk.start_new("Approval", "b-1")
    await completed(sdk, "a-1")
    assert sorted(str(status.instance_id) for status in await sdk.get_status_all()) == ["a-1", "b-1"]
    done = [df.OrchestrationRuntimeStatus.Completed, df.OrchestrationRuntimeStatus.Failed]
    hour = timedelta(hours=1)
    now = datetime.now(UTC)
    (found,) = await sdk.get_status_by(now - hour, now + hour, done)
    assert found.instance_id == "a-1"
    (found,) = await sdk.get_status_by(instance_id_prefix="b-")
    assert found.instance_id == "b-1"
    assert (await sdk.purge_instance_history_by(now - hour, now + hour, done)).instances_deleted == 1
    assert (await sdk.purge_instance_history_by(now - hour)).instances_deleted == 0


async def test_operations(sdk: Sdk) -> None:
    await sdk.start_new("Approval", "one")
    await sdk.suspend("one", "a reason & more")

    async def suspended() -> bool:
        return (await sdk.get_status("one")).runtime_status is df.OrchestrationRuntimeStatus.Suspended

    await until(suspended, "it is suspended")
    await sdk.resume("one", "go on")
    await sdk.terminate("one", "no stock")
    status = await completed(sdk, "one")
    assert (status.runtime_status, status.output) == (df.OrchestrationRuntimeStatus.Terminated, "no stock")
    await sdk.terminate("one", "again")  # It has ended, which is what was wanted.
    assert (await sdk.purge_instance_history("one")).instances_deleted == 1


async def test_rewind_and_restart(sdk: Sdk) -> None:
    broken.add("pears")
    await sdk.start_new("Order", "one", "pears")
    await completed(sdk, "one")
    broken.discard("pears")
    await sdk.rewind("one", "they came")
    assert (await completed(sdk, "one")).output == "pears"
    with pytest.raises(Exception, match="only supported on failed"):
        await sdk.rewind("one", "again")
    with pytest.raises(Exception, match="No instance with ID nobody found"):
        await sdk.rewind("nobody", "why not")
    answer: Any = await sdk.restart("one", restart_with_new_instance_id=True)
    assert (await completed(sdk, answer["id"])).output == "pears"


async def test_entities_that_do_not_exist(sdk: Sdk) -> None:
    state = await sdk.read_entity_state(df.EntityId("Counter", "one"))
    assert (state.entity_exists, state.entity_state) == (False, None)
    with pytest.raises(Exception, match="unexpected status code 400"):
        await sdk.signal_entity(df.EntityId("Counter", "one"), "add", 1)


async def test_a_function_with_an_http_trigger(api: Api, sdk: Sdk) -> None:
    request = func.HttpRequest("POST", "https://shop.example/api/orders", body=b"")
    await sdk.start_new("Hello", "one", "tokyo")
    said = await sdk.wait_for_completion_or_create_check_status_response(request, "one", 20_000, 20)
    assert (said.status_code, said.get_body()) == (200, b"TOKYO")
    await sdk.start_new("Approval", "two")
    said = await sdk.wait_for_completion_or_create_check_status_response(request, "two", 50, 20)
    assert (said.status_code, said.headers["Retry-After"]) == (202, "10")
    links = sdk.create_http_management_payload("two")
    answer = await api.http.get(links["statusQueryGetUri"])
    assert answer.json()["instanceId"] == "two"


async def test_a_key_goes_into_the_base_url(hub: str, client: Client) -> None:
    keys = read_keys(f"sdk:operate:{SECRET}")
    async with Worker(app, "memory://", hub=hub).running(), serving(ManagementApi(client, keys=keys)) as url:
        with_key = f"{url}{RPC}/".replace("http://", f"http://sdk:{SECRET}@")
        sdk = df.DurableOrchestrationClient(bindings(url, hub, with_key))
        await sdk.start_new("Hello", "one", "tokyo")
        assert (await completed(sdk, "one")).output == "TOKYO"
        await http_utils._close_session()
