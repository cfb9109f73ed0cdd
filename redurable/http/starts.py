"""Routes that start something: a new instance, and an old one anew."""

from __future__ import annotations

from dataclasses import replace

import anyio

from redurable.authoring.policies import StartOptions
from redurable.client import Client
from redurable.core.values import RuntimeStatus
from redurable.errors import (
    HubNotFound,
    InstanceAlreadyExists,
    InstanceNotFinished,
    InstanceNotFound,
    OrchestrationEnded,
    StoreError,
)
from redurable.http.answers import Answer, bad_request
from redurable.http.call import Call
from redurable.http.failures import ARGUMENTS, conflict
from redurable.http.instances import settled
from redurable.worker.crew import TURNS

_NOTHING = object()
_FORBIDDEN = "/\\#?"
"""Azure's: an id with one of these would not survive as part of a path everywhere."""
_EXISTS = "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException"
_LISTED = 20
"""The most orchestrators that an error names."""


async def start(call: Call) -> Answer:
    """POST /orchestrators/{functionName}[/{instanceId}]"""
    name, instance = call.params["functionName"], call.params.get("instanceId", "")
    if instance.startswith("@") or any(letter in _FORBIDDEN for letter in instance):
        return bad_request(ARGUMENTS, "Orchestration instance ids must not start with @, nor contain /, \\, # or ?.")
    value = await call.json(default=_NOTHING)
    refusal = _check_wait(call) or await _check_known(call, name)
    if refusal is not None:
        return refusal
    inputs = () if value is _NOTHING or value is None else (value,)
    options: StartOptions = {"on_conflict": "replace-finished"}
    if instance:
        options["instance_id"] = instance
    try:
        handle = await call.client.start(name, *inputs, **options)
    except InstanceAlreadyExists:
        return await _taken(call.client, instance)
    return await _begun(call, handle.instance_id)


async def restart(call: Call) -> Answer:
    """POST /instances/{instanceId}/restart"""
    as_new = call.query.flag("restartWithNewInstanceId", default=True)
    refusal = _check_wait(call)
    if refusal is not None:
        return refusal
    try:
        handle = await call.client.restart(call.instance, as_new=as_new)
    except (InstanceNotFound, HubNotFound) as error:
        return bad_request("InstanceId does not match a valid orchestration instance.", str(error))
    except (InstanceNotFinished, InstanceAlreadyExists):
        return await _taken(call.client, call.instance)
    return replace(await _begun(call, handle.instance_id), note=f"as {handle.instance_id}" if as_new else "")


async def _begun(call: Call, instance: str) -> Answer:
    """The 202 of an instance that has begun; its end instead, when the caller waits for it and it comes in time."""
    seconds = call.query.seconds("timeout")
    if seconds is not None and call.query.seconds("pollingInterval") is not None:
        waited = await _wait(call, instance, seconds)
        if waited is not None:
            return waited
    return begun(call.urls(instance))


def begun(urls: dict[str, str]) -> Answer:
    """An instance has begun, and these are the URLs to manage it by."""
    headers = {"Location": urls["statusQueryGetUri"], "Retry-After": "10"}
    return Answer(status=202, body=urls, headers=headers, instance=urls["id"])


async def _wait(call: Call, instance: str, seconds: float) -> Answer | None:
    """The end of an instance: the bare output, or the status of one that did not complete; None: not yet."""
    longest = call.settings.http_max_wait_ms / 1000
    with anyio.move_on_after(min(max(seconds, 0.0), longest)):
        try:
            await call.client.get_handle(instance).result()
        except OrchestrationEnded:
            pass
        except (InstanceNotFound, StoreError):
            return None  # It has begun, that much is certain. Purged meanwhile, or the store went away.
        status = await call.client.get_status(instance)
        if status.runtime_status is RuntimeStatus.COMPLETED:
            return Answer(body=status.output, instance=instance)
        return settled(call, status, instance=instance)
    return None


def _check_wait(call: Call) -> Answer | None:
    """That a wait can be meant, before anything is started because of it."""
    timeout, interval = call.query.seconds("timeout"), call.query.seconds("pollingInterval")
    if timeout is None or interval is None or interval <= timeout:
        return None
    reason = f"Total timeout {timeout:g} should be bigger than retry timeout {interval:g}"
    return bad_request(ARGUMENTS, reason)


async def _check_known(call: Call, name: str) -> Answer | None:
    """That a worker which lives knows the orchestrator. Where none takes turns now, nobody can say so: it waits."""
    if call.settings.http_start_unknown:
        return None
    try:
        workers = await call.client.workers()
    except HubNotFound:
        return None
    able = [skills for skills in workers.values() if TURNS in skills.roles and skills.orchestrators]
    known = sorted({known for skills in able for known in skills.orchestrators})
    if not able or name in known:
        return None
    listed = "', '".join(known[:_LISTED])
    reason = (
        f"The function '{name:.80}' doesn't exist, is disabled, or is not an orchestrator function. Additional info: "
        f"The following are the known orchestrator functions: '{listed}'{', …' if known[_LISTED:] else '.'}"
    )
    return bad_request(ARGUMENTS, reason)


async def _taken(client: Client, instance: str) -> Answer:
    try:
        status = (await client.get_status(instance)).runtime_status.value
    except InstanceNotFound:
        status = RuntimeStatus.PENDING.value
    return conflict(f"An Orchestration instance with the status {status} already exists.", _EXISTS)
