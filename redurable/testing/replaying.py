"""Golden histories: code that is changed must still do what running instances have done."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from redurable.authoring.app import App
from redurable.core.recorded import read_lines, replay
from redurable.errors import InvalidHistory, UnknownFunction


def replay_history(app: App, history: Path | str | Iterable[bytes]) -> int:
    """Run the code of `app` along the histories in a file (its path), or in such lines; return how many there were.

    `redurable history ID --export FILE` writes such a file, and so does the archive. Raises `NondeterminismError` at
    the first difference, with the event, the command and the source line; `UnknownFunction` for an orchestrator that
    the app does not register; `InvalidHistory` for what holds no history. No activity runs.
    """
    if isinstance(history, Path | str):
        with Path(history).open("rb") as lines:
            found = read_lines(lines)
    else:
        found = read_lines(history)
    if not found:
        raise InvalidHistory("there is no history in it: `redurable history ID --export FILE` writes one")
    for recorded in found:
        definition = app.registry.orchestrator(recorded.name)
        if definition is None:
            raise UnknownFunction(
                f"the app {app.name!r} registers no orchestrator {recorded.name!r}, which instance "
                f"{recorded.instance!r} runs"
            )
        replay(definition, recorded)
    return len(found)
