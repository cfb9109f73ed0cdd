"""Tables for people at a terminal, by rich: columns that fit its width, and colours unless NO_COLOR is set."""

from __future__ import annotations

import re
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
_WHOLE: Final = 24
"""A column whose texts are no longer is not broken into lines."""
_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\.\d+\+00:00")
_COLOURED: Final = ("runtime_status", "verdict", "blocked")


def show_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A heading and a line for each row; texts that are too long go on below in their column."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    cells = [[_cell(name, text) for name, text in zip(names, row, strict=True)] for row in rows]
    for name, column in zip(names, zip(*cells, strict=True), strict=True):
        table.add_column(name, overflow="fold", no_wrap=all(len(cell) <= _WHOLE for cell in column))
    for row in cells:
        table.add_row(*row)
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
    """Never markup: it comes from applications. Moments are as short as a person wants them."""
    style = _STYLE_OF.get(text, "") if name in _COLOURED else ""
    return Text(_MOMENT.sub(r"\1 \2Z", text) if _MOMENT.fullmatch(text) else text, style)
