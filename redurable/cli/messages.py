"""Commands that send a message to an instance: raise-event, terminate, cancel, suspend, resume, redrive."""

from __future__ import annotations

from typing import Annotated

import typer

from redurable.cli.command import Target, command
from redurable.cli.output import Output, print_record
from redurable.cli.payloads import parse_json

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The instance.")]
ReasonArgument = Annotated[str, typer.Argument(metavar="[REASON]", help="Why; kept in the history.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "raise-event")(raise_event)
    command(app, "terminate")(terminate)
    command(app, "cancel")(cancel)
    command(app, "suspend")(suspend)
    command(app, "resume")(resume)
    command(app, "redrive")(redrive)


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
    async with target.client() as client:
        await client.raise_event(instance_id, name, value, event_id=event_id)
    _confirm(target.output, instance_id, f"event {name} raised")


async def terminate(target: Target, instance_id: IdArgument, reason: ReasonArgument = "") -> None:
    """End an instance at once, without running its code."""
    async with target.client() as client:
        await client.terminate(instance_id, reason)
    _confirm(target.output, instance_id, "termination sent")


async def cancel(target: Target, instance_id: IdArgument, reason: ReasonArgument = "") -> None:
    """Ask an instance to end; its own code cleans up."""
    async with target.client() as client:
        await client.cancel(instance_id, reason)
    _confirm(target.output, instance_id, "cancellation sent")


async def suspend(target: Target, instance_id: IdArgument, reason: ReasonArgument = "") -> None:
    """Let an instance only record what arrives, until resumed."""
    async with target.client() as client:
        await client.suspend(instance_id, reason)
    _confirm(target.output, instance_id, "suspension sent")


async def resume(target: Target, instance_id: IdArgument, reason: ReasonArgument = "") -> None:
    """Let a suspended instance go on."""
    async with target.client() as client:
        await client.resume(instance_id, reason)
    _confirm(target.output, instance_id, "resumption sent")


async def redrive(target: Target, instance_id: IdArgument) -> None:
    """Let a quarantined instance be tried at once."""
    async with target.client() as client:
        redriven = await client.redrive(instance_id)
    _confirm(target.output, instance_id, "redriven" if redriven else "nothing: it is not quarantined")


def _confirm(output: Output, instance_id: str, done: str) -> None:
    print_record({"instance_id": instance_id, "done": done}, output)
