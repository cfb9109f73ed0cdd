"""Routes that tell an instance something."""

from __future__ import annotations

from typing import Any

from redurable.errors import InstanceNotFailed
from redurable.http.answers import Answer, refused
from redurable.http.call import Call
from redurable.http.failures import conflict

_JSON = "application/json"
ACCEPTED = Answer(status=202)


async def raise_event(call: Call) -> Answer:
    """POST /instances/{instanceId}/raiseEvent/{eventName}

    Nothing is kept of an event for an instance that does not exist. A header `Idempotency-Key` makes a repetition
    harmless; Azure has no such thing.
    """
    status = await call.client.get_status(call.instance)
    if status.runtime_status.finished:
        return Answer(status=410)
    media = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != _JSON:
        raise refused(400, "Only application/json request content is supported")
    data = await call.json()
    event_id = call.request.headers.get("idempotency-key") or None
    await call.client.raise_event(call.instance, call.params["eventName"], data, event_id)
    return ACCEPTED


async def terminate(call: Call) -> Answer:
    """POST /instances/{instanceId}/terminate"""
    await call.client.terminate(call.instance, call.reason)
    return ACCEPTED


async def suspend(call: Call) -> Answer:
    """POST /instances/{instanceId}/suspend"""
    await call.client.suspend(call.instance, call.reason)
    return ACCEPTED


async def resume(call: Call) -> Answer:
    """POST /instances/{instanceId}/resume"""
    await call.client.resume(call.instance, call.reason)
    return ACCEPTED


async def rewind(call: Call) -> Answer:
    """POST /instances/{instanceId}/rewind"""
    try:
        await call.client.rewind(call.instance, call.reason)
    except InstanceNotFailed as error:
        if error.status.finished:
            return Answer(status=410)
        return conflict("The rewind operation is only supported on failed orchestration instances.")
    return ACCEPTED


async def make_primary(call: Call) -> Answer:
    """POST /makeprimary: every process that serves a hub is as good as any other."""
    return Answer(status=200)


async def get_entity(call: Call) -> Answer:
    """GET /entities/{entityName}/{entityKey}: redurable has no entities, so none exists."""
    return Answer(status=404)


async def list_entities(call: Call) -> Answer:
    """GET /entities[/{entityName}]"""
    body: list[Any] = []
    return Answer(body=body, headers={"x-ms-continuation-token": ""})


async def signal_entity(call: Call) -> Answer:
    """POST or DELETE /entities/{entityName}[/{entityKey}]: what Azure says when no entity function has that name. A 202
    would be a promise that nobody keeps."""
    name = call.params.get("entityName", "")
    if not name:
        raise refused(400, "Invalid entity id: entity name must not be a null or empty string.")
    raise refused(
        400,
        f"The function '{name.lower():.80}' doesn't exist, is disabled, or is not an entity function. Additional info: "
        "No entity functions are currently registered!",
    )
