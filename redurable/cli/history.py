"""A history as a person reads it: one row per event, and one for the beginning and the end of every attempt."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any

import msgspec
from msgspec import Raw

from redurable.cli.output import Record
from redurable.client.moments import moment
from redurable.core.events import AttemptRow, HistoryRow

_COLUMNS = {"type", "at", "seq"}
_INTERNAL = {"commit", "v", "python", "first_seq", "event_ids", "kept_events", "execution", "number", "stack"}
_IN_ROWS = {"log", "started", "worker"}
"""Of an activity's outcome: what the rows of its attempts say."""
_EXACT = 300
"""Digits of an integer that every Python reads."""


def full_records(events: Iterable[HistoryRow]) -> list[Record]:
    """All that the store holds of each event, and the rows of attempts, for programs."""
    return [msgspec.json.decode(msgspec.json.encode(event), type=dict[str, Raw]) for event in events]


def rows(events: Sequence[HistoryRow]) -> list[Record]:
    """What a person wants to see: each event's number, time, kind, what it says, and the seq that ties calls to their
    outcomes. Rows of attempts have no number: the history itself does not have them."""
    numbers = count()
    return [_row("" if isinstance(event, AttemptRow) else str(next(numbers)), event) for event in events]


def _row(number: str, event: HistoryRow) -> Record:
    fields: dict[str, Any] = _read(msgspec.json.encode(event).decode())
    if not isinstance(event, AttemptRow):
        fields = {name: value for name, value in fields.items() if name not in _IN_ROWS}
    return {
        "#": number,
        "time": _moment(event.at)[11:],
        "event": type(event).__name__,
        "seq": str(fields.get("seq", "")),
        "details": " ".join(f"{name}={text}" for name, text in _details(fields)),
    }


def _integer(text: str) -> int | Raw:
    return int(text) if len(text) <= _EXACT else Raw(text.encode())


def _number(text: str) -> float | Raw:
    found = float(text)
    return found if math.isfinite(found) else Raw(text.encode())


_read = json.JSONDecoder(parse_int=_integer, parse_float=_number).decode
"""Payloads may hold numbers that Python has no value for: those stay as they were written."""


def _moment(milliseconds: int) -> str:
    return moment(milliseconds).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _details(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if name == "failure":
            yield "error", value["type"]
        if name in ("call", "failure", "parent", "timeouts"):
            # What a call was given is told even where it is nothing.
            yield from _details({inner: each for inner, each in value.items() if each or name == "call"})
        elif name == "due":
            yield name, _moment(value)
        elif name not in _COLUMNS | _INTERNAL:
            yield name, value if isinstance(value, str) else msgspec.json.encode(value).decode()
