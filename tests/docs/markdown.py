"""The documents, cut into fenced blocks and links.

A block is ```` ```python ```` (executed), ```` ```python fragment ```` (only has to be Python), or of another language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")


class Block(Struct, frozen=True):
    """A fenced block; `line` is that of its first line in the document."""

    document: str
    line: int
    language: str
    marks: tuple[str, ...]
    text: str


def documents() -> list[Path]:
    """Every Markdown file that users and contributors read."""
    folders = ("docs", "examples", "grafana", "prometheus")
    found = [*ROOT.glob("*.md"), *(path for folder in folders for path in (ROOT / folder).rglob("*.md"))]
    return sorted(path for path in found if "node_modules" not in path.parts)


def name(document: Path) -> str:
    """A document as messages show it."""
    return document.relative_to(ROOT).as_posix()


def blocks(document: Path) -> list[Block]:
    """The fenced blocks in order."""
    source = document.read_text()
    return list(_blocks(name(document), source))


def _blocks(label: str, source: str) -> Iterator[Block]:
    for match in _FENCE.finditer(source):
        language, *marks = match["info"].split() or [""]
        line = source.count("\n", 0, match.start("text")) + 1
        yield Block(label, line, language, tuple(marks), match["text"])


def links(document: Path) -> list[str]:
    """The targets of all links, outside of fenced blocks."""
    prose = _FENCE.sub("", document.read_text())
    return [match["target"] for match in _LINK.finditer(prose)]


def prose(document: Path) -> str:
    """The text without fenced blocks."""
    return _FENCE.sub("", document.read_text())
