"""One operation on many instances: asked for, shown while it goes on, summed up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import typer
from msgspec import Struct

from redurable.cli.command import Target
from redurable.cli.options import ManyOptions
from redurable.cli.output import Output, Record, confirm, print_record, print_records, to_json
from redurable.cli.progress import agree, check_terminal, progress
from redurable.client import BulkProgress, Client, InstanceFilters
from redurable.client.bulk import Operation


class Control(NamedTuple):
    """What a command does to one instance: by its name as a bulk operation, by the client, and in words."""

    operation: Operation
    act: Callable[[Client, str, str], Awaitable[None]]
    done: str


class _Work(Struct, frozen=True):
    operation: Operation
    reason: str
    filters: InstanceFilters


async def control(target: Target, many: ManyOptions, what: Control, instance_id: str | None, reason: str) -> None:
    """Do it to one instance, or to many."""
    instance, why = many.one(instance_id), many.reason(reason)
    if not instance:
        await operate(target, what.operation, many, why)
        return
    async with target.client() as client:
        await what.act(client, instance, why)
    confirm(target.output, instance, what.done)


async def operate(target: Target, operation: Operation, many: ManyOptions, reason: str = "") -> None:
    """Do it on all that are meant. Exit code 1 when it failed on some."""
    work = _Work(operation, reason, many.filters())
    if not (many.yes or many.dry_run):
        check_terminal()
    async with target.client() as client:
        if many.dry_run:
            await _run(client, work, target.output, dry_run=True)
            return
        total = None
        if not many.yes:
            total = await _count(client, work)
            agree(f"{operation.capitalize()} {total} instance{'' if total == 1 else 's'} of hub {target.hub!r}?")
        failed = await _run(client, work, target.output, dry_run=False, total=total)
    if failed:
        raise typer.Exit(1)


async def _count(client: Client, work: _Work) -> int:
    total = 0
    with progress("counting") as advance:
        async for step in client.bulk(work.operation, dry_run=True, **work.filters):
            total = step.matched
            advance(total, "")
    return total


async def _run(client: Client, work: _Work, output: Output, *, dry_run: bool, total: int | None = None) -> int:
    """Go on to the end; return on how many it failed. Shown of each: in a dry run its id, else its error."""
    shown: list[Record] = []
    step = BulkProgress(0, 0, 0)
    with progress(work.operation, total) as advance:
        async for step in client.bulk(work.operation, reason=work.reason, dry_run=dry_run, **work.filters):
            advance(step.matched, f"{step.failed} failed" if step.failed else "")
            if not step.instance_id:
                break
            record = {"instance_id": step.instance_id, "error": step.error}
            if output is Output.JSONL:
                print(to_json(record), flush=True)
            elif dry_run or step.error:
                shown.append({"instance_id": step.instance_id} if dry_run else record)
    _sum_up(work, step, shown, output, dry_run)
    return step.failed


def _sum_up(work: _Work, step: BulkProgress, shown: list[Record], output: Output, dry_run: bool) -> None:
    total = {"operation": work.operation, "matched": step.matched, "done": step.done, "failed": step.failed}
    if output is Output.TABLE:
        if shown:
            print_records(shown, output)
            print()
        print_record(total | {"done": "nothing: this is a dry run"} if dry_run else total, output)
    elif output is Output.JSON:
        print_record(total | {"dry_run": dry_run, "instances": shown}, output)
    else:
        print_record(total | {"dry_run": dry_run}, output)
