"""`redurable dead-letters`: messages that nobody could take."""

from __future__ import annotations

from typing import Annotated

import typer

from redurable.cli.command import Target, command
from redurable.cli.output import Output, Record, print_record, print_records
from redurable.client import Client, DeadLetter
from redurable.errors import CallerError

IdsArgument = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Dead letters, by their ids.")]
AllOption = Annotated[bool, typer.Option("--all", help="All that there are now.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    group = typer.Typer(no_args_is_help=True, help="List, show, send again or drop messages that nobody could take.")
    command(group, "list")(list_)
    command(group, "show")(show)
    command(group, "redrive")(redrive)
    command(group, "drop")(drop)
    app.add_typer(group, name="dead-letters")


async def list_(
    target: Target,
    after: Annotated[str, typer.Option("--after", metavar="ID", help="Only those behind this one.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Not more than that.")] = 100,
) -> None:
    """List dead letters, the oldest first."""
    async with target.client() as client:
        found = [letter async for letter in _some(client, after, limit)]
    print_records([_row(letter) for letter in found], target.output)


async def show(target: Target, letter_id: Annotated[str, typer.Argument(metavar="ID", help="Its id.")]) -> None:
    """Show a dead letter with all that was written."""
    async with target.client() as client:
        letter = await _find(client, letter_id)
    print_record(_whole(letter, target.output), target.output)


async def redrive(target: Target, ids: IdsArgument = None, all_: AllOption = False) -> None:
    """Send dead letters again, through the intake.

    Mend what was wrong before: what still cannot be taken becomes a dead letter again. What no client sent (a task, an
    answer, a result) stays where it is.
    """
    async with target.client() as client:
        chosen = await _chosen(client, ids, all_)
        redriven = await client.redrive_dead_letters(chosen)
    print_record({"redriven": len(redriven), "left": len(chosen) - len(redriven)}, target.output)


async def drop(target: Target, ids: IdsArgument = None, all_: AllOption = False) -> None:
    """Delete dead letters."""
    async with target.client() as client:
        dropped = await client.drop_dead_letters(await _chosen(client, ids, all_))
    print_record({"dropped": dropped}, target.output)


async def _some(client: Client, after: str, limit: int):
    async for letter in client.list_dead_letters(after):
        if limit == 0:
            return
        limit -= 1
        yield letter


async def _chosen(client: Client, ids: list[str] | None, all_: bool) -> list[str]:
    if bool(ids) is all_:
        raise typer.BadParameter("name dead letters, or say --all: one of both", param_hint="ID")
    return ids or [letter.id async for letter in client.list_dead_letters()]


async def _find(client: Client, letter_id: str) -> DeadLetter:
    async for letter in client.list_dead_letters():
        if letter.id == letter_id:
            return letter
    raise CallerError(
        f"there is no dead letter {letter_id!r}: `redurable dead-letters list` shows those that there are"
    )


def _row(letter: DeadLetter) -> Record:
    return {
        "id": letter.id,
        "at": letter.at.isoformat(timespec="milliseconds"),
        "instance_id": letter.instance_id,
        "reason": letter.reason,
    }


def _whole(letter: DeadLetter, output: Output) -> Record:
    """As a table, a line for each field of what was written."""
    record = {**_row(letter), "position": letter.position}
    if output is Output.TABLE:
        return record | {f"  {name}": value for name, value in letter.fields.items()}
    return record | {"fields": letter.fields}
