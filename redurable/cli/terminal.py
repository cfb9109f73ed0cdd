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
_LEAST: Final = 12
"""So many characters a column needs, to be read."""
_GAP: Final = 2
_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\.\d+\+00:00")
_COLOURED: Final = ("runtime_status", "verdict", "blocked")


def show_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A heading and a line for each row; texts that are too long go on below in their column. Where the terminal is
    too narrow for columns side by side: a line for each field."""
    console = Console()
    if console.width < len(names) * _LEAST:
        for row in rows:
            show_fields({name: text for name, text in zip(names, row, strict=True) if text})
            console.print()
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    cells = [[_cell(name, text) for name, text in zip(names, row, strict=True)] for row in rows]
    columns = [[Text(name), *column] for name, column in zip(names, zip(*cells, strict=True), strict=True)]
    widths = [max(cell.cell_len for cell in column) for column in columns]
    # What must not be broken would push the rest out of sight, were there no room for all.
    room = sum(width if width <= _WHOLE else _LEAST for width in widths) + _GAP * len(widths) <= console.width
    for name, width in zip(names, widths, strict=True):
        table.add_column(name, overflow="fold", no_wrap=room and width <= _WHOLE)
    for row in cells:
        table.add_row(*row)
    console.print(table)


def show_fields(fields: Mapping[str, str]) -> None:
    """A line for each field."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", overflow="fold")
    table.add_column(overflow="fold")
    for name, text in fields.items():
        table.add_row(name, _cell(name, text))
    Console().print(table)


def _cell(name: str, text: str) -> Text:
    """Never markup: it comes from applications. Moments are as short as a person wants them."""
    style = _STYLE_OF.get(text, "") if name in _COLOURED else ""
    return Text(_MOMENT.sub(r"\1 \2Z", text) if _MOMENT.fullmatch(text) else text, style)
