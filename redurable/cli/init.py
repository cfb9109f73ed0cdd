"""`redurable init`: creates a hub."""

from __future__ import annotations

from typing import Annotated

import typer

from redurable.cli.command import PATIENCE_SECONDS, Target, command
from redurable.cli.output import print_record
from redurable.client.link import Link
from redurable.errors import HubNotFound
from redurable.settings import DEFAULT_PARTITIONS
from redurable.store.address import open_hub, where


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "init")(init)


async def init(
    target: Target,
    partitions: Annotated[
        int, typer.Option("--partitions", min=1, max=1024, help="Slices of the hub; fixed once it exists.")
    ] = DEFAULT_PARTITIONS,
) -> None:
    """Create a hub, unless it exists already.

    A worker or a start creates a missing hub, too; this lets you choose the number of its partitions beforehand. It can
    be repeated: what exists is left as it is, and the number of its partitions is printed.
    """
    store = open_hub(target.address, target.named_hub(), partitions=partitions)
    try:
        link = Link(store, PATIENCE_SECONDS, where(target.address), joined=False)
        created = await _create(link)
    finally:
        await store.close()
    print_record({"hub": store.hub, "partitions": store.partitions, "created": created}, target.output)


async def _create(link: Link) -> bool:
    """Whether there was no such hub."""
    try:
        await link.join()
    except HubNotFound:
        await link.join(create=True)
        return True
    return False
