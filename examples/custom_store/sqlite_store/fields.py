"""Entries as any SQLite client may write them: a JSON object of names and texts. The runtime reads them as bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Fields = dict[bytes, bytes]


def write_fields(fields: Mapping[bytes, bytes]) -> str:
    """As they lie in a table. Bytes that are no UTF-8 survive as lone surrogates."""
    return json.dumps({_text(name): _text(value) for name, value in fields.items()})


def read_fields(text: str) -> Fields:
    """The opposite of `write_fields`. Values that are no texts stand for their JSON: `{"data": true}`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # Valid for SQLite, too much for Python: it becomes a dead letter as it is.
        return {b"unreadable": _bytes(text)}
    return {_bytes(name): _value(value) for name, value in found.items()}


def _value(value: Any) -> bytes:
    return _bytes(value) if isinstance(value, str) else json.dumps(value).encode()


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def _bytes(text: str) -> bytes:
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # A foreign client's lone surrogate, which no bytes stand for: no UTF-8, either.
        return text.encode(errors="surrogatepass")
