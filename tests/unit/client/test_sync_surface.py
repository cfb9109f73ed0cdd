"""The blocking client has the methods of the asynchronous one, with their parameters and results, and no others."""

from __future__ import annotations

import inspect
import re
from typing import Any, get_overloads

import pytest

import redurable
from redurable import sync

ELSEWHERE = {"from_store"}
"""A store that is open already lives in the event loop of whoever opened it."""
OWN = {"open", "close", "asynchronous", "loop", "facts", "tracing", "hub"}
"""What replaces `async with`, and attributes that are set in `__init__` of the other."""


def public(owner: type) -> dict[str, Any]:
    return {name: getattr(owner, name) for name in dir(owner) if not name.startswith("_")}


def shape(method: Any) -> tuple[list[tuple[str, Any, Any, str]], str]:
    """Parameters without self, and the result as text."""
    signature = inspect.signature(method)
    _, *parameters = signature.parameters.values()
    told = [(one.name, one.kind, one.default, _text(one.annotation)) for one in parameters]
    return told, _text(signature.return_annotation)


def _text(annotation: Any) -> str:
    # An iterator of the one is an iterator of the other.
    return re.sub(r"\bAsyncIterator\b", "Iterator", str(annotation))


PAIRS = [
    *((f"Client.{name}", redurable.Client, sync.Client, name) for name in public(redurable.Client)),
    *((f"Handle.{name}", redurable.Handle, sync.Handle, name) for name in public(redurable.Handle)),
]
METHODS = [pair[1:] for pair in PAIRS if pair[-1] not in ELSEWHERE]


@pytest.mark.parametrize(
    ("original", "facade", "name"), METHODS, ids=[".".join([o.__name__, n]) for o, _, n in METHODS]
)
def test_a_method_has_the_signature_of_the_other(original: type, facade: type, name: str) -> None:
    one, other = getattr(original, name), getattr(facade, name)
    assert shape(one) == shape(other)
    assert inspect.getdoc(one) == inspect.getdoc(other)
    assert not inspect.iscoroutinefunction(other)
    assert not inspect.isasyncgenfunction(other)
    assert [shape(variant) for variant in get_overloads(one)] == [shape(variant) for variant in get_overloads(other)]


def test_neither_has_what_the_other_lacks() -> None:
    assert public(sync.Client).keys() - OWN == public(redurable.Client).keys() - ELSEWHERE
    assert public(sync.Handle).keys() == public(redurable.Handle).keys()
    one, other = inspect.signature(redurable.Client), inspect.signature(sync.Client)
    assert one == other
