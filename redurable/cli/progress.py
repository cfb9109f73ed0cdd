"""How far long work is, on stderr, when somebody looks at it; and whether they agree to it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import typer

Advance = Callable[[int, str], Any]
"""Told how many are done, and what became of them."""


@contextmanager
def progress(what: str, total: int | None = None) -> Generator[Advance]:
    """A bar while the block runs; of unknown length when there is no `total`. Nothing unless stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, note: None
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (rich.SpinnerColumn(), rich.TextColumn("{task.description}"), rich.BarColumn())
    more = (rich.MofNCompleteColumn(), rich.TimeElapsedColumn(), rich.TextColumn("{task.fields[note]}"))
    # What is printed meanwhile goes above the bar where both are on the terminal, and else where it belongs.
    both = sys.stdout.isatty()
    console = Console(stderr=True)
    with rich.Progress(*columns, *more, console=console, transient=True, redirect_stdout=both) as shown:
        task = shown.add_task(what, total=total, note="")
        yield lambda done, note: shown.update(task, completed=done, note=note)


def check_terminal() -> None:
    """Raise the usage error that nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise typer.BadParameter(
            "there is no terminal to ask on: say --yes, or look with --dry-run", param_hint="--all"
        )


def agree(question: str) -> None:
    """Ask on the terminal; whoever says no ends the command."""
    typer.confirm(question, abort=True, err=True)
