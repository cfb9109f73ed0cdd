"""How starts and events reach the store, with a trace context or without one."""

from __future__ import annotations

from msgspec.structs import replace

from redurable.client.link import Link
from redurable.core.events import EventRaised
from redurable.core.messages import RaiseEvent
from redurable.core.traces import Tracing
from redurable.errors import InstanceAlreadyExists
from redurable.store.port import SendOutcome, StartOutcome, StartRequest


async def start(link: Link, request: StartRequest, tracing: Tracing | None) -> bool:
    """Whether an execution was started; else the instance exists, and may. Raises `InstanceAlreadyExists`."""
    if tracing is None:
        return await _start(link, request)
    message = request.message
    with tracing.starting(message.name, request.instance, message.execution) as trace:
        return await _start(link, replace(request, message=replace(message, trace=trace)))


async def send_event(link: Link, instance: str, event: RaiseEvent, tracing: Tracing | None) -> SendOutcome:
    """What became of the event. Raises `InstanceNotFound`, `InstanceFinished`."""
    if tracing is None:
        return await _send(link, instance, event)
    with tracing.raising(event.name, instance) as trace:
        return await _send(link, instance, replace(event, trace=trace))


async def _start(link: Link, request: StartRequest) -> bool:
    outcome = await link.call(lambda: link.store.start(request), create=True)
    if outcome is StartOutcome.REFUSED:
        unfinished = request.on_conflict == "replace-finished"
        hint = (
            "it has not finished, or a rewound parent waits for it"
            if unfinished
            else "choose another id or on_conflict=…"
        )
        raise InstanceAlreadyExists(f"instance {request.instance!r} exists in hub {link.store.hub!r}: {hint}")
    return outcome is StartOutcome.STARTED


async def _send(link: Link, instance: str, event: RaiseEvent) -> SendOutcome:
    outcome, repeated = await link.send(instance, event)
    if repeated and outcome is SendOutcome.FINISHED and await _was_read(link, instance, event.id):
        return SendOutcome.SENT  # It had come with an earlier attempt, and may be what ended the instance.
    link.check_sent(instance, outcome)
    return outcome


async def _was_read(link: Link, instance: str, event_id: str) -> bool:
    """Whether an execution of the instance has read the event. The last ones are looked at first."""
    for execution in reversed(await link.call(lambda: link.store.executions(instance))):
        history = await link.history(instance, execution)
        if any(isinstance(event, EventRaised) and event.id == event_id for event in reversed(history)):
            return True
    return False
