"""Values of every wire type, built from the types themselves: a field that is added is tried from then on."""

from __future__ import annotations

import json
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st
from msgspec import Raw, Struct

from redurable.core.values import ABSENT

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
"""Text that has a UTF-8 form: lone surrogates have none."""

_numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | _numbers | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
_written = st.sampled_from([{}, {"ensure_ascii": False}, {"indent": 2}, {"separators": (",", ":")}])


def _dumped(value: object, how: dict[str, Any]) -> Raw:
    return Raw(json.dumps(value, **how).encode())


payloads = st.one_of(
    st.builds(_dumped, _json, _written),
    st.sampled_from(
        [b"1e999", b"-0", b"1E+2", b"0.10", b"9" * 500, b'"\\u0000\\/\\ud83d\\ude00"', b"[" * 200 + b"]" * 200]
    ).map(Raw),
)
"""JSON as anybody may write it; it is handed on byte for byte."""


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type that may occur in a wire type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return st.one_of([values(argument) for argument in arguments])
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=3)
    if isinstance(kind, type) and issubclass(kind, Struct):
        return st.deferred(lambda: _struct(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    return _SCALARS[kind]


_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(-(2**70), 2**70),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: TEXT,
    Raw: payloads,
    NoneType: st.none(),
}


def _struct(kind: type[Struct]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    fields = {field.name: _field(hints[field.name], field) for field in msgspec.structs.fields(kind)}
    fields.pop("v", None)  # the version of the wire form: a message of another one is refused
    return st.builds(kind, **fields)


def _field(kind: Any, field: Any) -> st.SearchStrategy[Any]:
    given = values(kind)
    return st.one_of(given, st.just(ABSENT)) if field.default is ABSENT else given
