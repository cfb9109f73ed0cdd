"""What a client can do with instances, and what it answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from redurable import (
    CallerError,
    Client,
    Handle,
    InstanceAlreadyExists,
    InstanceFinished,
    InstanceNotFinished,
    InstanceNotFound,
    InvalidName,
    InvalidPayload,
    OrchestrationFailed,
    OrchestrationTerminated,
    RegistrationError,
    RetryPolicy,
    RuntimeStatus,
)
from redurable.core.events import EventRaised
from tests.unit.client.bench import Bench, Order, Receipt, process

Loose = Any
"""For calls that a type checker would refuse."""


async def test_start_and_result_in_all_forms(bench: Bench, client: Client) -> None:
    order = Order(lines=["a", "b"])
    handles: list[Handle[Any]] = [
        await client.start(process, order, True),
        await client.start(process, order, fast=True),
        await client.start(process, order, True, instance_id="with-options", tags={"tenant": "acme"}),
        await client.start(process.options(instance_id="chosen"), order, fast=True),
        await client.start("process", order, True, result_type=Receipt, instance_id="by-name"),
        client.get_handle("chosen", result_type=Receipt),
    ]
    await bench.turns()
    assert [await handle.result(timeout=15) for handle in handles] == [Receipt(total=2)] * 6
    assert await client.get_handle("chosen").result() == {"total": 2}
    assert [handle.instance_id for handle in handles[2:]] == ["with-options", "chosen", "by-name", "chosen"]
    assert len({handle.instance_id for handle in handles}) == 5
    assert (await client.get_status("with-options")).tags == {"tenant": "acme"}


async def test_how_it_ended(bench: Bench, client: Client) -> None:
    order = Order(lines=["a"])
    failing = await client.start(process, order, instance_id="failing")
    ended = await client.start(process, order, instance_id="ended")
    await client.raise_event("failing", "Price", -1)
    await bench.turns()
    await client.terminate("ended", "no stock")
    await bench.turns()

    with pytest.raises(OrchestrationFailed) as failed:
        await failing.result()
    assert str(failed.value) == "process failed (instance 'failing'): ValueError: a price of -1"
    assert (failed.value.instance_id, failed.value.type, failed.value.message) == (
        "failing",
        "ValueError",
        "a price of -1",
    )
    with pytest.raises(OrchestrationTerminated, match=r"^process was terminated \(instance 'ended'\): no stock$"):
        await ended.result()
    await client.start(process, order, True, instance_id="done")
    await bench.turns()
    with pytest.raises(InvalidPayload, match="instance 'done': result does not accept"):
        await client.get_handle("done", result_type=int).result()
    with pytest.raises(InstanceNotFound, match="no instance 'nobody' in hub 'orders'"):
        await client.get_handle("nobody").result()


async def test_an_id_that_is_taken(bench: Bench, client: Client) -> None:
    first = await client.start(process, Order(lines=["a"]), instance_id="x")
    with pytest.raises(InstanceAlreadyExists, match="instance 'x' exists in hub 'orders': choose another id"):
        await client.start(process, Order(lines=["b"]), instance_id="x")
    with pytest.raises(InstanceAlreadyExists, match="it has not finished"):
        await client.start(process, Order(lines=["b"]), instance_id="x", on_conflict="replace-finished")
    same = await client.start(process, Order(lines=["b"]), instance_id="x", on_conflict="use-existing")
    await client.raise_event("x", "Price", 7)
    await bench.turns()
    assert await same.result() == await first.result() == Receipt(total=7)

    second = await client.start(process, Order(lines=["b", "c"]), True, instance_id="x", on_conflict="replace-finished")
    await bench.turns()
    assert await second.result() == Receipt(total=2)
    with pytest.raises(InstanceNotFound, match=r"execution .* of instance 'x' is gone: the instance was purged"):
        await first.result()


async def test_status(bench: Bench, client: Client) -> None:
    handle = await client.start(process, Order(lines=["a"]), instance_id="x", tags={"t": "1"})
    pending = await client.get_status("x")
    assert (pending.runtime_status, pending.input, pending.history) == (RuntimeStatus.PENDING, {"lines": ["a"]}, None)

    await bench.turns()
    await client.raise_event("x", "Other", [1], event_id="e1")
    running = await client.get_status("x")
    assert (running.runtime_status, running.unread_mail, running.output) == (RuntimeStatus.RUNNING, 1, None)

    await client.raise_event("x", "Price", 2)
    await bench.turns()
    status = await client.get_status("x", show_history=True)
    assert status.history == await client.get_history("x")
    assert next(event.id for event in status.history or () if isinstance(event, EventRaised)) == "e1"
    assert (status.instance_id, status.name, status.execution) == ("x", "process", handle.execution)
    assert (status.input, status.output, status.failure) == ({"lines": ["a"]}, {"total": 2}, None)
    assert (status.runtime_status, status.custom_status) == (RuntimeStatus.COMPLETED, {"lines": ["a"]})
    assert (status.parent_instance_id, status.tags, status.unread_events, status.quarantined) == (
        None,
        {"t": "1"},
        {"Other": 1},
        None,
    )
    assert status.created_at.utcoffset() == timedelta(0)
    assert status.created_at < status.last_updated_at

    await client.start(process.options(instance_id="y"), Order(lines=[]), fast=False)
    assert (await client.get_status("y")).input == {"args": [{"lines": []}], "kwargs": {"fast": False}}
    await client.terminate("y", "enough")
    await bench.turns()
    failure = (await client.get_status("y")).failure
    assert failure is not None
    assert failure.message == "enough"
    with pytest.raises(InstanceNotFound):
        await client.get_status("nobody")


async def test_suspend_resume_terminate_purge(bench: Bench, client: Client) -> None:
    await client.start(process, Order(lines=["a"]), instance_id="x")
    await client.suspend("x", "audit")
    await client.raise_event("x", "Price", 1)
    await bench.turns()
    assert (await client.get_status("x")).runtime_status is RuntimeStatus.SUSPENDED
    with pytest.raises(InstanceNotFinished, match="terminate it first"):
        await client.purge("x")
    await client.resume("x")
    await bench.turns()
    assert (await client.get_status("x")).runtime_status is RuntimeStatus.COMPLETED
    with pytest.raises(InstanceFinished, match="instance 'x' has finished"):
        await client.raise_event("x", "Price")
    for call in (client.suspend, client.resume, client.terminate, client.cancel):
        with pytest.raises(InstanceFinished, match="instance 'x' has finished"):
            await call("x")
    await client.purge("x")
    for call in (client.suspend, client.resume, client.terminate, client.cancel, client.purge):
        with pytest.raises(InstanceNotFound, match="no instance 'x'"):
            await call("x")


async def test_an_event_may_come_before_its_instance(bench: Bench, client: Client) -> None:
    await client.raise_event("early", "Price", 4)
    handle = await client.start(process, Order(lines=["a"]), instance_id="early")
    await bench.turns()
    assert await handle.result() == Receipt(total=4)


async def test_calls_that_make_no_sense(client: Client) -> None:
    loose: Loose = client
    order = Order(lines=[])
    for call, error, text in (
        (lambda: loose.start(process), InvalidPayload, "orchestrator 'process': no input for 'order'"),
        (lambda: loose.start(process, order, instance_idd="x"), InvalidPayload, "there is no parameter 'instance_idd'"),
        (lambda: loose.start(process, order, execution_timeout=5), InvalidPayload, "execution_timeout=5: use a"),
        (lambda: loose.start(process.options(retry=RetryPolicy()), order), RegistrationError, "start takes no 'retry'"),
        (lambda: loose.start(process.definition.function, order), CallerError, "is no orchestrator: decorate it"),
        (lambda: loose.start("", order), InvalidName, "orchestrator name ''"),
        (lambda: loose.start(process, order, instance_id="\n"), InvalidName, "control characters"),
        (lambda: loose.raise_event("x", ""), InvalidName, "event name ''"),
        (lambda: loose.raise_event("x", "A", object()), InvalidPayload, "event 'A': data of type object"),
        (lambda: loose.get_status(""), InvalidName, "instance id ''"),
    ):
        with pytest.raises(error, match=text):
            await call()
    with pytest.raises(CallerError, match="the client is not connected"):
        await Client("memory://", hub="orders").get_status("x")
    with pytest.raises(InvalidName, match="hub name 'Orders'"):
        Client(hub="Orders")
