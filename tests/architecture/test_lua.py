"""Every script says what it is, gets its keys from outside, and keeps to what all servers have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.checkout import PACKAGE

SCRIPTS = sorted((PACKAGE / "store" / "redis" / "lua").glob("*.lua"))
VERBS = [path for path in SCRIPTS if not path.name.startswith("_")]
LINES = 120

COMMAND = re.compile(r"\b(?:p?call|try)\s*\(")  # redis.call, redis.pcall, and what the scripts call them for short
CONCATENATED_KEY = re.compile(r"KEYS\s*\[[^\]]*\]\s*\.\.|\.\.\s*KEYS\s*\[|['\"]rd:")
# cjson loses integers over 14 digits and turns [] into {}; the others are not on every server; a shebang hides
# undeclared keys from old servers.
BANNED = re.compile(r"\b(?:cjson|cmsgpack|struct|loadstring|setfenv)\b|^#!", re.MULTILINE)


def by_name(path: Path) -> str:
    return path.name


def test_there_are_scripts() -> None:
    assert VERBS


@pytest.mark.parametrize("path", VERBS, ids=by_name)
def test_the_header_says_what_a_reader_must_know(path: Path) -> None:
    sections = re.findall(r"^(\w+):[ \t]*(\S.*)?$", _header(path.read_text()), re.MULTILINE)
    assert [title for title, _ in sections] == ["Purpose", "Invariant", "KEYS", "ARGV", "Returns"]
    assert [title for title, text in sections if not text] == []


@pytest.mark.parametrize("path", sorted(set(SCRIPTS) - set(VERBS)), ids=by_name)
def test_a_fragment_begins_with_what_it_is(path: Path) -> None:
    assert len(_header(path.read_text())) > 20


@pytest.mark.parametrize("path", SCRIPTS, ids=by_name)
def test_no_key_is_made_in_lua(path: Path) -> None:
    code = _without_comments(path.read_text())
    assert CONCATENATED_KEY.findall(code) == []
    assert [call for call in _calls(code) for key in _key_arguments(call) if ".." in key] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=by_name)
def test_scripts_are_short_and_use_only_what_every_server_has(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LINES
    assert BANNED.findall(_without_comments(text)) == []


def test_the_reader_of_lua_finds_a_concatenated_key() -> None:
    script = "redis.call('SET', prefix .. (id), 'a, b')\ntry('XREAD', 'COUNT', n, 'STREAMS', a, b .. c, 0)"
    keys = [_key_arguments(call) for call in _calls(script)]
    assert keys == [["prefix .. (id)"], ["a", "b .. c", "0"]]


def _header(text: str) -> str:
    """The comment that the file begins with."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").removeprefix(" "))
    return "\n".join(lines)


def _without_comments(text: str) -> str:
    return re.sub(r"--(?!@).*", "", text)


def _calls(code: str) -> Iterator[list[str]]:
    """The arguments of every call of a Redis command, as text."""
    for match in COMMAND.finditer(code):
        yield _arguments(code[match.end() :])


def _arguments(code: str) -> list[str]:
    """The arguments in front of the parenthesis that closes the call."""
    arguments = [""]
    depth = 0
    for token in re.findall(r"'[^']*'|\"[^\"]*\"|[()\[\]{},]|[^'\"()\[\]{},]+", code):
        if token in ")]}" and depth == 0:
            break
        depth += (token in "([{") - (token in ")]}")
        if token == "," and depth == 0:
            arguments.append("")
        else:
            arguments[-1] += token
    return [argument.strip() for argument in arguments]


def _key_arguments(call: list[str]) -> list[str]:
    """Where keys may stand: first, or anywhere behind STREAMS."""
    words = [argument.strip("'\"").upper() for argument in call]
    if "STREAMS" in words:
        return call[words.index("STREAMS") + 1 :]
    return call[1:] if words[0] in {"DEL", "EXISTS", "RENAME", "UNLINK"} else call[1:2]
