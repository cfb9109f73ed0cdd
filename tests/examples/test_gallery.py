"""Every program of the gallery, run as its reader runs it: what it prints is what its documentation says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES, Play

PROGRAMS = [
    *sorted(path for path in EXAMPLES.glob("*.py")),
    EXAMPLES / "email_campaign" / "main.py",
]
NAMES = [path.relative_to(EXAMPLES).with_suffix("").as_posix() for path in PROGRAMS]
LISTED = re.compile(r"^\| [^|]+ \| \[[^]]+]\(([^)]+\.py)\) \| [^|]{20,} \|$", re.MULTILINE)
SAID = Path(__file__).parent / "said"
"""What each program prints, one file each; `{…}` stands for what differs from run to run."""


def expected(name: str) -> Iterator[re.Pattern[str]]:
    """A pattern for each line."""
    for line in (SAID / f"{name.replace('/', '-')}.txt").read_text().splitlines():
        parts = re.split(r"\{…\}", line)
        yield re.compile(".*".join(re.escape(part) for part in parts))


@pytest.mark.parametrize("name", NAMES)
def test_a_program_says_what_it_shows(name: str, play: Play, valkey: str) -> None:
    lines = play(name, valkey)
    patterns = list(expected(name))
    wrong = [line for line, pattern in zip(lines, patterns, strict=False) if not pattern.fullmatch(line)]
    assert (wrong, len(lines)) == ([], len(patterns)), "\n".join(lines)


def test_it_runs_on_every_server(play: Play, each_server: str) -> None:
    assert play("hello", each_server)[:3] == ["Hello, Porto!", "Hello, Riga!", "Hello, Lima!"]


def test_without_an_address_it_starts_a_server_that_keeps_its_data(play: Play, tmp_path: Path) -> None:
    assert [play("hello")[0] for _ in range(2)] == ["Hello, Porto!"] * 2
    assert (tmp_path / ".redurable").is_dir()


def test_processes_share_the_embedded_server(play: Play) -> None:
    assert play("order_workflow")[-1] == "5 effects, 0 of them done twice"


def test_every_program_is_in_the_list_and_the_list_names_no_other() -> None:
    listed = LISTED.findall((EXAMPLES / "README.md").read_text())
    assert sorted(listed) == sorted([*(f"{name}.py" for name in NAMES), "custom_store/main.py"])
    assert "(examples/README.md)" in (EXAMPLES.parent / "README.md").read_text()


@pytest.mark.parametrize("path", PROGRAMS, ids=NAMES)
def test_every_program_tells_what_to_look_at_and_is_short(path: Path) -> None:
    source = path.read_text()
    told = ast.get_docstring(ast.parse(source)) or ""
    assert "What to look at: " in told
    assert told.endswith(f"$ python {path.relative_to(EXAMPLES.parent)}")
    assert 30 <= len(source.splitlines()) <= 140
