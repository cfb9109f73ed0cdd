"""Commands about one instance: start, status, history, result, key."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Annotated, Any, cast
from uuid import uuid4

import typer

from redurable.cli.command import Target, command
from redurable.cli.exporting import export_history
from redurable.cli.history import full_records, rows
from redurable.cli.messages import IdArgument
from redurable.cli.output import Output, Record, Value, print_record, print_records, print_value
from redurable.cli.payloads import parse_arguments
from redurable.client import Client, PendingActivity, Quarantine, Status
from redurable.client.explaining import advised
from redurable.core.ids import check_instance_id, check_name
from redurable.core.messages import StartExecution
from redurable.core.sizes import call_size, check_size
from redurable.errors import InstanceAlreadyExists
from redurable.settings import PayloadSettings
from redurable.store.port import StartOutcome, StartRequest
from redurable.store.redis.layout import Layout

_LONGEST = 1000 * 365 * 86_400
"""Seconds; more than the calendar holds would be no moment."""


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "start")(start)
    command(app, "status")(status)
    command(app, "history")(history)
    command(app, "result")(result)
    command(app, "key")(key)


async def start(
    target: Target,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The orchestrator.")],
    input_: Annotated[str | None, typer.Option("--input", metavar="JSON", help="Its one argument.")] = None,
    args: Annotated[str | None, typer.Option("--args", metavar="JSON", help="Its arguments: an array.")] = None,
    kwargs: Annotated[str | None, typer.Option("--kwargs", metavar="JSON", help="Its keywords: an object.")] = None,
    instance_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="The instance; else a new id.")] = None,
    execution_timeout: Annotated[
        float,
        typer.Option("--execution-timeout", metavar="SECONDS", min=0, max=_LONGEST, help="It fails then; 0: whenever."),
    ] = 0.0,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end and print the result.")] = False,
) -> None:
    """Start an orchestration and print its instance id."""
    call = parse_arguments(input_, args, kwargs)
    check_size(f"orchestrator {name!r}", "input", call_size(call), PayloadSettings().max_payload_bytes)
    instance = check_instance_id(uuid4().hex if instance_id is None else instance_id)
    message = StartExecution(
        execution=uuid4().hex,
        name=check_name(name, "orchestrator"),
        call=call,
        execution_timeout=ceil(execution_timeout * 1000),
    )
    async with target.link(create=True) as link:
        if await link.call(lambda: link.store.start(StartRequest(instance, message))) is StartOutcome.REFUSED:
            raise InstanceAlreadyExists(f"instance {instance!r} exists in hub {link.store.hub!r}: choose another --id")
        if wait:
            async with Client.from_store(link.store) as client:
                print_value(await client.get_handle(instance).result(), target.output)
            return
    _print_word("instance_id", instance, target.output)


async def status(
    target: Target,
    instance_id: IdArgument,
    activities: Annotated[
        bool, typer.Option("--activities", help="Show where its calls of activities stand, too.")
    ] = False,
) -> None:
    """Show where an instance stands."""
    async with target.client() as client:
        found = await client.get_status(instance_id, show_activities=activities)
    record = _as_record(found)
    if target.output is Output.TABLE:
        if found.quarantined is not None:
            record |= _quarantine_lines(instance_id, found.quarantined)
        record["pending_activities"] = None
    print_record(record, target.output)
    if activities and target.output is Output.TABLE:
        print()
        print_records([_as_record(call) for call in found.pending_activities or ()], target.output)


async def history(
    target: Target,
    instance_id: IdArgument,
    execution: Annotated[
        str | None, typer.Option("--execution", metavar="ID", help="An earlier execution; else the current one.")
    ] = None,
    executions: Annotated[bool, typer.Option("--executions", help="List its executions instead.")] = False,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write it there instead, for `redurable replay`.")
    ] = None,
) -> None:
    """Show what happened to an instance, event by event."""
    if export is not None:
        await export_history(target, instance_id, execution or "", export)
        return
    async with target.client() as client:
        if executions:
            ids = await client.list_executions(instance_id)
            print_records([{"execution": name} for name in ids], target.output)
            return
        events = await client.get_history(instance_id, execution)
    print_records(rows(events) if target.output is Output.TABLE else full_records(events), target.output)


async def result(
    target: Target,
    instance_id: IdArgument,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0, help="Give up after that time.")
    ] = None,
) -> None:
    """Wait for the end of an instance and print its result."""
    async with target.client() as client:
        print_value(await client.get_handle(instance_id).result(timeout), target.output)


async def key(
    target: Target,
    instance_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The instance.")] = None,
    ready: Annotated[bool, typer.Option("--ready", help="The ready stream of its partition instead.")] = False,
    intake: Annotated[bool, typer.Option("--intake", help="The intake of the hub instead; needs no instance.")] = False,
) -> None:
    """Print the key of an instance's mailbox.

    It is a stream that any Redis client may XADD to: XADD KEY * event NAME data JSON. The next sweep hears it, or at
    once who also rings: XADD READY * i ID. Whoever is not trusted with mailboxes writes to the intake.
    """
    if (instance_id is None) is not intake or (ready and intake):
        raise typer.BadParameter("name an instance, or say --intake: one of both", param_hint="ID")
    async with target.link() as link:
        keys = Layout(link.store.hub, link.store.partitions)
        found = keys.hub.intake
        if instance_id is not None:
            mine = keys.of(check_instance_id(instance_id))
            found = mine.ready if ready else mine.mailbox(instance_id)
        _print_word("key", found, target.output)


def _quarantine_lines(instance_id: str, found: Quarantine) -> Record:
    """A quarantine as lines of the table, in place of the nested value."""
    retry = f"after {advised('redrive', instance_id)}" if found.next_try is None else _plain(found.next_try)
    return {
        "quarantined": str(found),
        "quarantined_since": _plain(found.since),
        "tries": found.tries,
        "next_try": retry,
    }


def _as_record(found: Status | PendingActivity | Quarantine) -> dict[str, Value]:
    return {field.name: _plain(getattr(found, field.name)) for field in fields(found) if field.name != "history"}


def _plain(value: Any) -> Value:
    if isinstance(value, list):
        return [_as_record(call) for call in cast("list[PendingActivity]", value)]
    if isinstance(value, Quarantine):
        return _as_record(value)
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value


def _print_word(name: str, word: str, output: Output) -> None:
    """One word: bare as a table, so that a shell can take it as it is."""
    if output is Output.TABLE:
        print(word)
    else:
        print_record({name: word}, output)
