"""What commands print: rows of plain values as an aligned table, one JSON document, or one JSON document a line."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Raw

Value = object
"""Anything that `msgspec.json` can encode; `Raw` for payloads, which are printed as they are stored."""

Record = Mapping[str, Value]


class Output(StrEnum):
    """The choices of `--output`."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


_CONTROLS: Final = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What JSON lets stand in a text, though a terminal obeys it, or a reader of lines ends its line there."""


def to_json(value: Value) -> str:
    """One line of JSON."""
    return _harmless(msgspec.json.encode(value))


def to_pretty_json(value: Value) -> str:
    """Indented JSON."""
    return _harmless(msgspec.json.format(msgspec.json.encode(value), indent=2))


_FOREIGN: Final = re.compile("[^\\x00-\\x7f]")


def _harmless(encoded: bytes) -> str:
    """Outside of its texts JSON has none of these; inside, an escape says the same."""
    text = _CONTROLS.sub(_escape, encoded.decode())
    return text if codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8" else _FOREIGN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def print_record(record: Record, output: Output) -> None:
    """Print one thing; as a table: one line per field that has a value."""
    match output:
        case Output.JSON:
            print(to_pretty_json(record))
        case Output.JSONL:
            print(to_json(record))
        case Output.TABLE:
            _print_fields({_shown(name): text for name, value in record.items() if (text := _cell(value))})


def print_records(records: Sequence[Record], output: Output) -> None:
    """Print many things of one kind; as a table: a heading, and a line for each."""
    match output:
        case Output.JSON:
            print(to_pretty_json(records))
        case Output.JSONL:
            for record in records:
                print(to_json(record))
        case Output.TABLE:
            _print_table(records)


def confirm(output: Output, instance_id: str, done: str) -> None:
    """Say what was done."""
    print_record({"instance_id": instance_id, "done": done}, output)


def print_value(value: Value, output: Output) -> None:
    """Print a bare JSON value."""
    print(to_json(value) if output is Output.JSONL else to_pretty_json(value))


def _print_fields(fields: Mapping[str, str]) -> None:
    if sys.stdout.isatty():
        from redurable.cli.terminal import show_fields

        show_fields(fields)
        return
    width = max(map(len, fields), default=0)
    for name, text in fields.items():
        print(f"{name:<{width}}  {text}")


def _print_table(records: Sequence[Record]) -> None:
    if records and sys.stdout.isatty():
        from redurable.cli.terminal import show_table

        show_table(*_cells(records))
        return
    for line in table(records):
        print(line)


def table(records: Sequence[Record], width: int | None = None) -> list[str]:
    """Aligned lines under a heading of the first record's field names, cut to `width` characters."""
    if not records:
        return ["(none)"]
    names, cells = _cells(records)
    rows = [names, *cells]
    widths = [max(len(row[column]) for row in rows) for column in range(len(names))]
    lines = ("  ".join(f"{cell:<{size}}" for cell, size in zip(row, widths, strict=True)).rstrip() for row in rows)
    return [_cut(line, width) for line in lines]


def _cells(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    names = list(records[0])
    return names, [[_cell(record[name]) for name in names] for record in records]


def _cell(value: Value) -> str:
    if value is None or value == {} or value == []:
        return ""
    if isinstance(value, str):
        return one_line(value)
    return bytes(value).decode() if isinstance(value, Raw) else to_json(value)


def one_line(text: str) -> str:
    """It on one line; what would move the cursor, or colour the terminal, is shown instead."""
    return _shown(" ".join(text.split()))


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _cut(line: str, width: int | None) -> str:
    return line if width is None or len(line) <= width else line[: max(1, width) - 1] + "…"
