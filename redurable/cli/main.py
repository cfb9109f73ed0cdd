"""The console entry: all command groups joined."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from redurable.cli import (
    acl,
    activities,
    dead_letters,
    demo,
    dev,
    doctor,
    init,
    instances,
    listing,
    messages,
    operations,
    replaying,
    serve,
    watching,
    worker,
)

app = typer.Typer(
    name="redurable",
    help="Durable Functions on Redis.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_GROUPS = (worker, dev, serve, init, instances, listing, messages, operations, watching, activities, dead_letters)
for group in (*_GROUPS, replaying, doctor, demo, acl):
    group.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"redurable {version('redurable')}")
        raise typer.Exit


@app.callback()
def options(
    shown: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Durable Functions on Redis."""


def run() -> None:
    """Run the command line and end the process with its exit code."""
    app(prog_name="redurable")
