"""`redurable demo`: a killed worker, an order that is finished nevertheless, and a verdict."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import typer

from redurable.cli.command import Target, command
from redurable.cli.history import rows
from redurable.cli.output import Output, print_record, table

if TYPE_CHECKING:
    from redurable.demo.story import Told
    from redurable.demo.verdict import Check

SECONDS = 40.0
WIDTH = 118


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "demo")(demo)


async def demo(target: Target) -> None:
    """Kill a worker amid an order and watch another finish it.

    It takes about 20 seconds, and runs in a temporary directory on a Valkey of its own, whatever --redis and --hub say.
    """
    from redurable.demo.story import tell  # Here, because it registers an app that no other command needs.
    from redurable.demo.verdict import judge

    say = partial(print, file=sys.stdout if target.output is Output.TABLE else sys.stderr, flush=True)
    say("An order survives the death of its worker. (seconds since the beginning, step)")
    begin = time.monotonic()
    told = None
    with tempfile.TemporaryDirectory(prefix="redurable-demo-") as directory, anyio.move_on_after(SECONDS):
        told = await tell(Path(directory), say)
    if told is None:
        raise TimeoutError(f"the story did not come to its end within {SECONDS:.0f} s")
    checks = judge(told.evidence)
    if target.output is Output.TABLE:
        _print(told, checks, time.monotonic() - begin)
    else:
        print_record({check.promise: check.kept for check in checks}, target.output)
    if not all(check.kept for check in checks):
        raise typer.Exit(1)


def _print(told: Told, checks: Sequence[Check], seconds: float) -> None:
    print("\nThe history, as the store holds it:")
    for line in table(rows(told.history), WIDTH):
        print(f"  {line}")
    print("\nWhat was promised:")
    for check in checks:
        print(f"  {'kept' if check.kept else 'NOT KEPT'}: {check.promise}")
    print(f"{'It held' if all(check.kept for check in checks) else 'It did NOT hold'}, in {seconds:.1f} s.")
