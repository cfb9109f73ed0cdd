"""Histories in files, as `redurable replay` reads them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from redurable.cli.command import Target
from redurable.cli.output import print_record, to_json
from redurable.client.link import Link
from redurable.core.ids import check_instance_id
from redurable.core.recorded import Recorded, checked, line_of, read_lines
from redurable.errors import InvalidHistory

_EVENTS_A_LINE = 1_000


async def export_history(target: Target, instance: str, execution: str, file: Path) -> None:
    """Write the history of an execution (empty: the current one), in place of what the file held."""
    async with target.link() as link:
        recorded = await stored(link, check_instance_id(instance), execution)
    _write(file, "".join(f"{line}\n" for line in _lines(recorded)))
    exported = {"instance_id": recorded.instance, "execution": recorded.execution, "events": len(recorded.events)}
    print_record(exported | {"file": str(file)}, target.output)


async def stored(link: Link, instance: str, execution: str = "") -> Recorded:
    """A history in a store. Raises `InstanceNotFound`, and `InvalidHistory` when it has not begun."""
    chosen = execution or (await link.snapshot(instance)).execution
    return checked(Recorded(instance, chosen, tuple(await link.history(instance, chosen))))


def read_file(file: Path) -> list[Recorded]:
    """The histories in a file. Raises `InvalidHistory`, also when there are none."""
    try:
        with file.open("rb") as lines:
            found = read_lines(lines)
    except OSError as error:
        raise InvalidHistory(f"{str(file)!r} cannot be read: {error.strerror}") from None
    except InvalidHistory as error:
        raise InvalidHistory(f"{str(file)!r}: {error}") from None
    if not found:
        raise InvalidHistory(f"{str(file)!r} holds no history: `redurable history ID --export FILE` writes one")
    return found


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{str(file)!r} cannot be written: {error.strerror}", param_hint="--export") from None


def _lines(recorded: Recorded) -> Iterable[str]:
    for start in range(0, len(recorded.events), _EVENTS_A_LINE):
        some = recorded.events[start : start + _EVENTS_A_LINE]
        yield to_json(line_of(recorded.instance, recorded.execution, start, some))
