"""What every command shares: options and their environment, exit codes, one line for an error. No server is needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from redurable.cli import main
from redurable.cli.command import DEFAULT_ADDRESS, Target, command
from redurable.errors import InstanceNotFound

COMMANDS = {
    "worker",
    "serve",
    "start",
    "raise-event",
    "complete-activity",
    "fail-activity",
    "heartbeat-activity",
    "status",
    "history",
    "result",
    "terminate",
    "cancel",
    "suspend",
    "resume",
    "redrive",
    "purge",
    "key",
    "acl",
    "init",
    "explain",
    "watch",
    "list",
    "rewind",
    "restart",
    "reset",
    "replay",
    "queues",
    "dead-letters",
    "doctor",
    "dev",
    "demo",
}

LETTERS = [f"dead-letters {name}" for name in ("list", "show", "redrive", "drop")]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDURABLE_REDIS_URL", "REDURABLE_HUB"):
        monkeypatch.delenv(name, raising=False)


def call(*words: str, app: typer.Typer = main.app, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, words, env=env)


class Heard:
    """An app of one command that keeps what it was given, and raises what it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
        self.targets: list[Target] = []
        self.hubs: list[str] = []

        async def probe(target: Target, number: int, named: bool = False) -> None:
            """Look."""
            self.targets.append(target)
            assert number == 3
            if named:
                self.hubs.append(target.named_hub())
            if error is not None:
                raise error

        command(self.app, "probe")(probe)


def test_help_names_exactly_the_commands_that_are_built() -> None:
    text = call("--help").stdout
    listed = set(re.findall(r"^  ([a-z-]+)  +\S", text[text.index("Commands:") :], re.MULTILINE))
    assert listed == COMMANDS


def test_the_page_of_the_command_line_names_them_all() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and "`" in line]
    named = {word.split()[0] for row in rows for word in re.findall(r"`([a-z-]+(?: [a-z]+)?)`", row)}
    assert named == COMMANDS


def test_a_shell_completes_commands_and_statuses() -> None:
    def offered(line: str) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
        found = CliRunner().invoke(
            main.app, [], prog_name="redurable", env={"_REDURABLE_COMPLETE": "complete_bash", **words}
        )
        return found.stdout.split()

    assert offered("redurable dead-le") == ["dead-letters"]
    assert offered("redurable list --status C") == ["Completed", "Canceled"]
    assert offered("redurable status -o json") == ["json", "jsonl"]


@pytest.mark.parametrize("name", [*sorted(COMMANDS - {"dead-letters"}), *LETTERS])
def test_every_command_explains_itself_and_takes_the_common_options(name: str) -> None:
    result = call(*name.split(), "--help")
    assert result.exit_code == 0
    for word in ("--redis", "--hub", "--output", "-o", "table|json|jsonl", "REDURABLE_REDIS_URL", "REDURABLE_HUB"):
        assert word in result.stdout


def test_options_come_from_the_line_then_the_environment_then_the_default() -> None:
    heard = Heard()
    environment = {"REDURABLE_REDIS_URL": "redis://env:1", "REDURABLE_HUB": "env-hub"}
    assert call("3", app=heard.app).exit_code == 0
    assert call("3", app=heard.app, env=environment).exit_code == 0
    assert call("3", "--redis", "redis://line:2", "--hub", "line", "-o", "jsonl", app=heard.app).exit_code == 0

    assert [(target.address, target.hub, target.output.value) for target in heard.targets] == [
        (DEFAULT_ADDRESS, "", "table"),
        ("redis://env:1", "env-hub", "table"),
        ("redis://line:2", "line", "jsonl"),
    ]


def test_an_error_is_one_line_and_exit_code_1() -> None:
    error = ExceptionGroup("roles", [ExceptionGroup("inner", [InstanceNotFound("no instance\n'order-42'")])])
    result = call("3", app=Heard(error).app)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "redurable: no instance 'order-42'\n"


def test_an_unforeseen_error_names_its_type() -> None:
    result = call("3", app=Heard(ZeroDivisionError("division by zero")).app)
    assert (result.exit_code, result.stderr) == (1, "redurable: ZeroDivisionError: division by zero\n")


def test_debug_shows_the_traceback() -> None:
    result = call("3", "--debug", app=Heard(InstanceNotFound("no instance 'order-42'")).app)
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.endswith("redurable: no instance 'order-42'\n")


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("redis+cluster://h1,h2", "does not speak to a Redis Cluster"),
        ("htp://ada:secret@host", "is not valid"),
        ("embedded://data", "without the two slashes"),
    ],
)
def test_an_address_that_cannot_be_right_is_one_line_without_its_password(address: str, text: str) -> None:
    result = call("status", "order-42", "--hub", "orders", "--redis", address)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert text in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("status",), "Missing argument 'ID'"),
        (
            ("status", "order-42"),
            "Invalid value for --hub: say which hub is meant, with this option or the environment variable",
        ),
        (("status", "order-42", "--redis", "memory://", "--hub", "orders"), "memory:// lives inside one process"),
        (("worker", "a:b", "--redis", "memory://"), "memory:// lives inside one process"),
        (("status", "order-42", "--hub", "orders", "-o", "xml"), "'xml' is not one of"),
        (("raise-event", "order-42", "Approval", "--data", "{nope", "--hub", "orders"), "--data"),
        (("start", "process_order", "--input", "1", "--args", "[1]", "--hub", "orders"), "--input"),
        (("start", "process_order", "--args", '{"a": 1}', "--hub", "orders"), "--args"),
        (("start", "process_order", "--kwargs", "[1]", "--hub", "orders"), "--kwargs"),
        (("worker", "a:b", "--metrics-port", "70000"), "--metrics-port"),
        (("reset", "order-42", "3rd", "--hub", "orders"), "Invalid value for 'EVENT'"),
        (("terminate", "--hub", "orders"), "name an instance, or say --all: one of both"),
        (("terminate", "order-42", "--all", "--hub", "orders"), "name an instance, or say --all: one of both"),
        (("terminate", "order-42", "--status", "Running", "--hub", "orders"), "filters and --dry-run are for many"),
        (("terminate", "order-42", "audit", "--reason", "audit", "--hub", "orders"), "it is told twice"),
        (("purge", "--all", "--hub", "orders"), "there is no terminal to ask on: say --yes"),
        (("purge", "order-42", "--reason", "x", "--hub", "orders"), "a purge keeps no reason"),
        (("restart", "order-42", "--as-new", "--new-id", "x", "--hub", "orders"), "it excludes --new-id"),
        (("restart", "--all", "--as-new", "--hub", "orders"), "under their own ids only"),
        (("list", "--tag", "vip", "--hub", "orders"), "'vip' is no tag: write KEY=VALUE"),
        (("list", "--created-from", "yesterday", "--hub", "orders"), "'yesterday' is no time"),
        (("list", "--updated-to", "99999999999999d", "--hub", "orders"), "is no time"),
        (("replay", "a:b"), "name an instance or a file, or say --all"),
        (("replay", "a:b", "order-42", "--name", "x"), "filters are for many instances"),
        (("replay", "a:b", "--all", "--execution", "x"), "of many instances the current executions are meant"),
        (("start", "process_order", "--execution-timeout", "inf", "--hub", "orders"), "--execution-timeout"),
        (("start", "process_order", "--input", "[" * 201 + "]" * 201, "--hub", "orders"), "nested deeper than 200"),
        (("raise-event", "order-42", "Go", "--data", "[" * 5_000, "--hub", "orders"), "nested deeper than 200"),
        (("list", "--colour"), "No such option: --colour"),
        (("fly", "order-42"), "No such command 'fly'"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_is_wrong(words: tuple[str, ...], text: str) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_a_doctor_looks_for_no_hub_that_cannot_be() -> None:
    result = call("doctor", "--hub", "No Hub", "--redis", "unix:///nowhere.sock")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "hub name 'No Hub' is not valid" in result.stderr


def test_a_hub_that_is_needed_may_come_from_the_environment() -> None:
    heard = Heard()
    assert call("3", "--named", app=heard.app).exit_code == 2
    assert call("3", "--named", app=heard.app, env={"REDURABLE_HUB": "orders"}).exit_code == 0
    assert heard.hubs == ["orders"]


def test_closed_streams_are_no_error() -> None:
    command = f"{sys.executable} -m redurable acl --hub shop >&- 2>&-"
    assert subprocess.run(["/bin/sh", "-c", command], check=False).returncode == 0


@pytest.mark.parametrize(
    ("output", "shown"), [("table", "gr\\xf6\\xdfe"), ("jsonl", "gr\\u00f6\\u00dfe \\ud83c\\udf89")]
)
def test_a_terminal_of_few_characters_is_shown_the_rest_as_escapes(output: str, shown: str) -> None:
    program = (
        "import sys; from redurable.cli import main, output; "
        "main.app = lambda **_: output.print_record({'id': 'größe 🎉'}, output.Output(sys.argv[1])); main.run()"
    )
    command = [sys.executable, "-c", program, output]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}, check=True)
    assert shown in done.stdout.decode("ascii")
    if output == "jsonl":
        assert json.loads(done.stdout) == {"id": "größe 🎉"}


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """As in `redurable … | head`."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "redurable", "acl", "--hub", "shop"]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
