"""Commands that send a message to an instance: raise-event, terminate, cancel, suspend, resume, redrive."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from redurable.cli.command import Target, command
from redurable.cli.many import Control, control
from redurable.cli.options import ManyOptions, spread
from redurable.cli.output import confirm
from redurable.cli.payloads import parse_json
from redurable.client import Client
from redurable.client.sending import handed
from redurable.core.traces import read_trace
from redurable.core.values import Trace

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The instance.")]
OptionalIdArgument = Annotated[str | None, typer.Argument(metavar="[ID]", help="The instance; else --all.")]
ReasonArgument = Annotated[str, typer.Argument(metavar="[REASON]", help="Why; kept in the history.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "raise-event")(raise_event)
    command(app, "terminate")(terminate)
    command(app, "cancel")(cancel)
    command(app, "suspend")(suspend)
    command(app, "resume")(resume)
    command(app, "redrive")(redrive)


def trace_of_shell() -> Trace | None:
    """The trace that the command belongs to, as OpenTelemetry hands it from process to process."""
    return read_trace(os.environ.get("TRACEPARENT", ""), os.environ.get("TRACESTATE", ""))


async def raise_event(
    target: Target,
    instance_id: IdArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The event's name.")],
    data: Annotated[str, typer.Option("--data", metavar="JSON", help="What it carries.")] = "null",
    event_id: Annotated[
        str | None, typer.Option("--event-id", metavar="ID", help="Makes a repetition harmless.")
    ] = None,
) -> None:
    """Raise an external event. When there is no such instance yet, it waits, unless the hub has another rule."""
    value = parse_json(data, "--data")
    handed.set(trace_of_shell())
    async with target.client() as client:
        await client.raise_event(instance_id, name, value, event_id=event_id)
    confirm(target.output, instance_id, f"event {name} raised")


@spread("many", ManyOptions)
async def terminate(
    target: Target, many: ManyOptions, instance_id: OptionalIdArgument = None, reason: ReasonArgument = ""
) -> None:
    """End an instance at once, without running its code."""
    await control(target, many, Control("terminate", Client.terminate, "termination sent"), instance_id, reason)


@spread("many", ManyOptions)
async def cancel(
    target: Target, many: ManyOptions, instance_id: OptionalIdArgument = None, reason: ReasonArgument = ""
) -> None:
    """Ask an instance to end; its own code cleans up."""
    await control(target, many, Control("cancel", Client.cancel, "cancellation sent"), instance_id, reason)


@spread("many", ManyOptions)
async def suspend(
    target: Target, many: ManyOptions, instance_id: OptionalIdArgument = None, reason: ReasonArgument = ""
) -> None:
    """Let an instance only record what arrives, until resumed."""
    await control(target, many, Control("suspend", Client.suspend, "suspension sent"), instance_id, reason)


@spread("many", ManyOptions)
async def resume(
    target: Target, many: ManyOptions, instance_id: OptionalIdArgument = None, reason: ReasonArgument = ""
) -> None:
    """Let a suspended instance go on."""
    await control(target, many, Control("resume", Client.resume, "resumption sent"), instance_id, reason)


async def redrive(target: Target, instance_id: IdArgument) -> None:
    """Let a quarantined instance be tried at once."""
    async with target.client() as client:
        redriven = await client.redrive(instance_id)
    confirm(target.output, instance_id, "redriven" if redriven else "nothing: it is not quarantined")
