"""`redurable replay`: does this code still do what histories say?"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer

from redurable import App
from redurable.cli.command import Target, command
from redurable.cli.exporting import read_file, stored
from redurable.cli.loading import load_app
from redurable.cli.options import FilterOptions, spread
from redurable.cli.output import Record, print_records
from redurable.cli.progress import progress
from redurable.cli.worker import AppArgument
from redurable.client import Client
from redurable.core.ids import check_instance_id
from redurable.core.recorded import Recorded, replay
from redurable.errors import InstanceNotFound, InvalidHistory, NondeterminismError

_MOST_NAMED = 3


class _Source(NamedTuple):
    """Where histories come from: `file`; or `instance`; or, when both are empty, all instances that are chosen."""

    file: Path | None
    instance: str
    execution: str
    chosen: FilterOptions


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "replay")(replay_)


@spread("chosen", FilterOptions)
async def replay_(
    target: Target,
    chosen: FilterOptions,
    app: AppArgument,
    what: Annotated[
        str | None,
        typer.Argument(metavar="[ID|FILE]", help="An instance, or a file of `history --export` or the archive."),
    ] = None,
    execution: Annotated[
        str, typer.Option("--execution", metavar="ID", help="An earlier execution of the instance.")
    ] = "",
    all_: Annotated[bool, typer.Option("--all", help="All instances to which the filters apply.")] = False,
) -> None:
    """Run the code at hand along recorded histories, and say where they differ. Nothing is written.

    Exit code 1 when one differs. Before a release: `redurable replay orders:app --all --status Running`; in tests: on
    files that were exported once. The hub is the app's unless it is named.
    """
    if (what is None) is not all_:
        raise typer.BadParameter("name an instance or a file, or say --all: one of these", param_hint="ID|FILE")
    if what is not None and chosen.filters():
        raise typer.BadParameter("filters are for many instances: say --all", param_hint="ID|FILE")
    if all_ and execution:
        raise typer.BadParameter("of many instances the current executions are meant", param_hint="--execution")
    loaded = load_app(app)
    hub = msgspec.structs.replace(target, hub=target.hub or loaded.name)
    source = _Source(_file(what), what or "", execution, chosen)
    shown: list[Record] = []
    with progress("replaying") as advance:
        async for recorded in _histories(hub, source):
            shown.append(_compare(loaded, recorded))
            advance(len(shown), "")
    print_records(shown, target.output)
    if any(record["verdict"] != "same" for record in shown):
        raise typer.Exit(1)


async def _histories(target: Target, source: _Source) -> AsyncGenerator[Recorded]:
    if source.file is not None:
        histories = read_file(source.file)
        meant = [recorded for recorded in histories if source.execution in ("", recorded.execution)]
        if not meant:
            held = ", ".join(recorded.execution for recorded in histories[:_MOST_NAMED])
            raise InvalidHistory(
                f"{str(source.file)!r} holds no execution {source.execution!r}, but {len(histories)}: {held}"
            )
        for recorded in meant:
            yield recorded
        return
    async with target.link() as link:
        if source.instance:
            yield await stored(link, check_instance_id(source.instance), source.execution)
            return
        async with Client.from_store(link.store) as client:
            async for status in client.list_instances(**source.chosen.filters()):
                try:
                    yield await stored(link, status.instance_id)
                except (InvalidHistory, InstanceNotFound):
                    continue  # It has not begun, or was purged meanwhile.


def _file(what: str | None) -> Path | None:
    return Path(what) if what is not None and Path(what).is_file() else None


def _compare(app: App, recorded: Recorded) -> Record:
    verdict, where, text = "same", None, ""
    definition = app.registry.orchestrator(recorded.name)
    if definition is None:
        verdict, text = "unknown", f"the app registers no orchestrator {recorded.name!r}"
    else:
        try:
            replay(definition, recorded)
        except NondeterminismError as error:
            verdict, where, text = "differs", error.position, str(error)
    return {
        "instance_id": recorded.instance,
        "execution": recorded.execution,
        "name": recorded.name,
        "events": len(recorded.events),
        "verdict": verdict,
        "position": where,
        "difference": text,
    }
