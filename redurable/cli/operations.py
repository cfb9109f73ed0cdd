"""Commands that take an instance back or away: rewind, restart, reset, purge."""

from __future__ import annotations

from typing import Annotated

import typer

from redurable.cli.command import Target, command
from redurable.cli.many import Control, control, operate
from redurable.cli.messages import IdArgument, OptionalIdArgument, ReasonArgument
from redurable.cli.options import ManyOptions, spread
from redurable.cli.output import confirm
from redurable.client import Client


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "rewind")(rewind)
    command(app, "restart")(restart)
    command(app, "reset")(reset)
    command(app, "purge")(purge)


@spread("many", ManyOptions)
async def rewind(
    target: Target, many: ManyOptions, instance_id: OptionalIdArgument = None, reason: ReasonArgument = ""
) -> None:
    """Let a failed instance go on from before its failure.

    The calls that led to it run again, and its sub-orchestrations that did not complete are rewound, too. What
    completed is kept.
    """
    await control(target, many, Control("rewind", Client.rewind, "rewound"), instance_id, reason)


@spread("many", ManyOptions)
async def restart(
    target: Target,
    many: ManyOptions,
    instance_id: OptionalIdArgument = None,
    as_new: Annotated[bool, typer.Option("--as-new", help="Leave it alone; start another one under a new id.")] = False,
    new_id: Annotated[str | None, typer.Option("--new-id", metavar="ID", help="The same, under this id.")] = None,
) -> None:
    """Start an instance anew, with the inputs that it was started with.

    A finished one is replaced, under its id; print the id under which it runs.
    """
    if many.why:
        raise typer.BadParameter("a restart keeps no reason", param_hint="--reason")
    if as_new and new_id is not None:
        raise typer.BadParameter("it excludes --new-id: use one of both", param_hint="--as-new")
    instance = many.one(instance_id)
    if instance:
        async with target.client() as client:
            handle = await client.restart(instance, as_new=as_new if new_id is None else new_id)
        confirm(target.output, handle.instance_id, "started anew")
    elif as_new or new_id is not None:
        raise typer.BadParameter("many are restarted under their own ids only", param_hint="--all")
    else:
        await operate(target, "restart", many)


async def reset(
    target: Target,
    instance_id: IdArgument,
    event: Annotated[int, typer.Argument(metavar="EVENT", min=0, help="The number of an event of its history.")],
    reason: ReasonArgument = "",
    drop_events: Annotated[
        bool, typer.Option("--drop-events", help="Forget external events that came later, instead of raising them.")
    ] = False,
) -> None:
    """Let an instance go back to before an event of its history.

    That event and all that follows is dropped; `redurable history` shows the numbers. Calls that were open there run
    again.
    """
    async with target.client() as client:
        await client.reset(instance_id, event, reason, keep_events=not drop_events)
    confirm(target.output, instance_id, f"reset to event {event}")


@spread("many", ManyOptions)
async def purge(target: Target, many: ManyOptions, instance_id: OptionalIdArgument = None) -> None:
    """Delete all that is stored of a finished instance, and of its finished sub-orchestrations."""
    if many.why:
        raise typer.BadParameter("a purge keeps no reason", param_hint="--reason")
    instance = many.one(instance_id)
    if not instance:
        await operate(target, "purge", many)
        return
    async with target.client() as client:
        await client.purge(instance)
    confirm(target.output, instance, "purged")
