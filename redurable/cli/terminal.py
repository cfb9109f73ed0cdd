"""Tables for people at a terminal, by rich: columns that fit its width, and colours unless NO_COLOR is set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES: Final = {
    "green": ("Completed", "ok", "same"),
    "cyan": ("Running", "Pending"),
    "yellow": ("Suspended", "warn", "yes"),
    "magenta": ("Canceled", "Terminated"),
    "red": ("Failed", "fail", "differs", "unknown"),
}
_STYLE_OF: Final = {word: style for style, words in _STYLES.items() for word in words}
_COLOURED: Final = ("runtime_status", "verdict", "blocked")


def show_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A heading and a line for each row; texts that are too long go on below in their column."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=False)
    for row in rows:
        table.add_row(*(_cell(name, text) for name, text in zip(names, row, strict=True)))
    Console().print(table)


def show_fields(fields: Mapping[str, str]) -> None:
    """A line for each field."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in fields.items():
        table.add_row(name, _cell(name, text))
    Console().print(table)


def _cell(name: str, text: str) -> Text:
    """Never markup: it comes from applications."""
    return Text(text, _STYLE_OF.get(text, "") if name in _COLOURED else "")
