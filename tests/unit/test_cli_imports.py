"""What a command line that is asked for little does not import: a shell asks it at every press of a key."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from redurable.cli import main
from redurable.cli.commands import COMMANDS, Unread

_HEAVY = {"anyio", "asyncio", "msgspec", "prometheus_client", "pydantic", "redis", "rich"}


def imported(*words: str, typed: str = "") -> set[str]:
    """The modules that `redurable` imports with these words; `typed`: when a shell asks what may come behind that."""
    asked = {"_REDURABLE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "redurable", *words],
        env={**os.environ, **(asked if typed else {})},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize(
    ("words", "typed", "by_typer"),
    [(["--help"], "", set[str]()), (["--version"], "", set[str]()), ([], "redurable dead-le", {"pydantic"})],
)
def test_help_version_and_names_import_nothing_that_commands_need(
    words: list[str], typed: str, by_typer: set[str]
) -> None:
    found = imported(*words, typed=typed)
    assert {name.partition(".")[0] for name in found} & _HEAVY <= by_typer
    ours = {name for name in found if name.startswith("redurable.")}
    assert ours == {"redurable.cli", "redurable.cli.commands", "redurable.cli.main", "redurable.errors"}


@pytest.mark.parametrize(("words", "typed"), [(["status", "--help"], ""), ([], "redurable list --status C")])
def test_a_command_that_is_asked_about_imports_neither_redis_nor_what_others_need(words: list[str], typed: str) -> None:
    found = imported(*words, typed=typed)
    assert {name.partition(".")[0] for name in found} & {"redis", "prometheus_client", "rich"} == set()
    assert {
        name for name in found if name.startswith(("redurable.worker", "redurable.http", "redurable.demo"))
    } == set()


@pytest.mark.parametrize(("file", "name"), [(file, name) for file, texts in COMMANDS.items() for name in texts])
def test_the_list_of_commands_says_what_they_say_of_themselves(file: str, name: str) -> None:
    unread = Unread(name, file, COMMANDS[file][name])
    assert unread.get_short_help_str(200) == unread.read().get_short_help_str(200)


def test_a_command_that_is_misspelled_is_guessed() -> None:
    assert "Did you mean 'status'" in CliRunner().invoke(main.app, ["statuss"]).stderr
