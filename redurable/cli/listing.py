"""`redurable list`: instances by what they are, page by page; and how many there are."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from typing import Annotated

import typer
from msgspec import Struct

from redurable.cli.command import Target, command
from redurable.cli.options import FilterOptions, spread
from redurable.cli.output import Output, Record, print_record, print_records, to_json
from redurable.cli.progress import progress
from redurable.client import Client, InstanceFilters, Status
from redurable.client.queries import MOST, query_of

_COUNTABLE = {"status", "name"}


class _Wanted(Struct, frozen=True):
    """`limit`: 0 for all of them."""

    filters: InstanceFilters
    limit: int
    continuation: str


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "list")(list_)


@spread("chosen", FilterOptions)
async def list_(
    target: Target,
    chosen: FilterOptions,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Not more than that.")] = 100,
    all_: Annotated[bool, typer.Option("--all", help="All of them, however many that is.")] = False,
    continuation: Annotated[
        str, typer.Option("--continuation", metavar="TOKEN", help="Go on where an earlier list ended.")
    ] = "",
    count: Annotated[bool, typer.Option("--count", help="Only how many, by orchestrator and status.")] = False,
) -> None:
    """List instances, the newest first.

    When there are more, stderr says with which --continuation the list goes on; with -o json it is in the document.
    """
    filters = chosen.filters()
    async with target.client() as client:
        if count:
            print_records(await _counts(client, filters), target.output)
            return
        wanted = _Wanted(filters, 0 if all_ else limit, continuation)
        rest = await _print(client, wanted, target.output)
    if rest and target.output is not Output.JSON:
        print(f"redurable: there are more: --continuation {rest}", file=sys.stderr)


async def _counts(client: Client, filters: InstanceFilters) -> list[Record]:
    others = filters.keys() - _COUNTABLE
    if others:
        raise typer.BadParameter(
            f"counts are kept by name and status only, not by {', '.join(sorted(others))}", param_hint="--count"
        )
    wanted = query_of(filters)
    counts = await client.count_instances()
    return [
        {"name": name, "runtime_status": status, "count": number}
        for (name, status), number in counts.items()
        if (not wanted.names or name in wanted.names) and (not wanted.statuses or status in wanted.statuses)
    ]


async def _print(client: Client, wanted: _Wanted, output: Output) -> str:
    """Print them; return where the list goes on."""
    rows: list[Record] = []
    rest, seen = "", 0
    with progress("reading") as advance:
        async for page, place in _pages(client, wanted):
            rest = place
            seen += len(page)
            advance(seen, "")
            if output is Output.JSONL:
                for status in page:
                    print(to_json(_row(status, output)), flush=True)
            else:
                rows += [_row(status, output) for status in page]
    if output is Output.TABLE:
        print_records(rows, output)
    elif output is Output.JSON:
        print_record({"instances": rows, "continuation": rest}, output)
    return rest


async def _pages(client: Client, wanted: _Wanted) -> AsyncGenerator[tuple[tuple[Status, ...], str]]:
    """Pages until the limit is reached, each with the place behind it."""
    left, continuation = wanted.limit, wanted.continuation
    while True:
        size = min(left, MOST) if wanted.limit else MOST
        page = await client.list_page(limit=size, continuation=continuation, **wanted.filters)
        left, continuation = left - len(page.instances), page.continuation
        yield page.instances, continuation
        if not continuation or (wanted.limit and left == 0):
            return


def _row(status: Status, output: Output) -> Record:
    record: dict[str, object] = {
        "instance_id": status.instance_id,
        "name": status.name,
        "runtime_status": status.runtime_status,
        "created_at": status.created_at.isoformat(timespec="milliseconds"),
        "last_updated_at": status.last_updated_at.isoformat(timespec="milliseconds"),
    }
    if output is Output.TABLE:
        marks = [f"{key}={value}" for key, value in status.tags.items()]
        quarantined = ["quarantined"] if status.quarantined else []
        return record | {"notes": " ".join([*quarantined, *marks])}
    return record | {
        "parent_instance_id": status.parent_instance_id,
        "tags": status.tags,
        "custom_status": status.custom_status,
        "quarantined": str(status.quarantined) if status.quarantined else None,
    }
