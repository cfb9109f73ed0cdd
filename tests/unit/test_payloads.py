"""Payloads: what travels for which call, what comes back, and what errors say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, NoReturn
from uuid import UUID

import msgspec
import pytest
from msgspec import Raw
from pydantic import BaseModel, Field

from redurable.authoring.payloads import Codec, encode
from redurable.authoring.signature import ByName, Signature
from redurable.core.values import Arguments
from redurable.errors import InvalidPayload, RegistrationError


class Colour(Enum):
    RED = "red"


class Line(BaseModel):
    article: str
    price: Decimal = Decimal("1.50")


@dataclass
class Basket:
    lines: list[Line]
    owner: Later | None = None


@dataclass
class Later:
    name: str


def travel(value: object, kind: object) -> Any:
    """Through a place of that type, and through the wire form that messages have."""
    place = Codec("f", "parameter 'x'", lambda: kind)
    wire = msgspec.json.encode(Arguments(place.encode(value)))
    return place.decode(msgspec.json.decode(wire, type=Arguments).input)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("", str),
        ('quote " line\nü \U0001f600', str),
        (0, int),
        (-(2**53), int),
        (10**40, int),
        (10**40, Any),
        (True, bool),
        (None, None),
        (1.5, float),
        (math.inf, float),
        ([1, "a", None, {"b": [2.5]}], Any),
        ({"a": 1}, object),
        (Colour.RED, Colour),
        (datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC), datetime),
        (UUID(int=7), UUID),
        (Decimal("0.10"), Decimal),
        (b"bytes", bytes),
        ((1, "a"), tuple[int, str]),
        ({1: Line(article="x")}, dict[int, Line]),
        (None, Line | None),
        (Basket([Line(article="a")], Later("me")), Basket),
        (5, Annotated[int, Field(gt=3)]),
        (5, Annotated[int, ["not hashable"]]),
    ],
)
def test_values_come_back_in_their_type(value: object, kind: object) -> None:
    result = travel(value, kind)
    assert result == value
    assert type(result) is type(value)


def test_a_number_that_is_none_comes_back_as_one() -> None:
    assert math.isnan(travel(math.nan, float))


@pytest.mark.parametrize(
    ("value", "kind", "result"), [(1.0, int, 1), (3, float, 3.0), ("7", int, 7), ((1, 2), Any, [1, 2])]
)
def test_lax_json_is_accepted_as_pydantic_does(value: object, kind: object, result: object) -> None:
    assert travel(value, kind) == result


@pytest.mark.parametrize("value", [object(), "\ud800", {"a": "\ud800"}, b"\xff", ValueError("x"), lambda: 1])
def test_what_has_no_json_is_refused_by_name_and_type(value: object) -> None:
    with pytest.raises(InvalidPayload, match=rf"^f: result of type {type(value).__qualname__} cannot be encoded"):
        encode(value, "f", "result")


@pytest.mark.parametrize("kind", [str, int, list[int], Line, None, Annotated[int, Field(gt=3)]])
def test_what_does_not_fit_is_refused_with_place_and_value(kind: object) -> None:
    place = Codec("activity 'f'", "parameter 'x'", lambda: kind)
    with pytest.raises(InvalidPayload, match=r"^activity 'f': parameter 'x' does not accept \[\"a\"\]: ."):
        place.decode(Raw(b'["a"]'))


def test_errors_name_the_field_and_show_no_more_than_is_readable() -> None:
    payload = Codec("f", "result", lambda: None).encode({"lines": [{"article": "x" * 500, "price": "much"}]})
    with pytest.raises(InvalidPayload) as caught:
        Codec("f", "result", lambda: Basket).decode(payload)
    assert "lines.0.price: " in str(caught.value)
    assert len(str(caught.value)) < 300


def plain(a: int, b: str = "b", *, c: float = 1.0) -> list[Line]: ...
def only(order: Later) -> None: ...
def nothing() -> None: ...
def named(*, c: float) -> NoReturn: ...
def first(a: int, /, b: int = 2) -> None: ...


def bound(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[list[Any], dict[str, Any], Arguments]:
    signature = Signature("f", function)
    call = msgspec.json.decode(msgspec.json.encode(signature.encode(args, kwargs)), type=Arguments)
    return (*signature.decode(call), call)


def test_one_input_travels_as_input_several_as_args_and_kwargs() -> None:
    args, kwargs, call = bound(only, Later("x"))
    assert (args, kwargs, call) == ([Later("x")], {}, Arguments(Raw(b'{"name":"x"}')))
    args, kwargs, call = bound(plain, 1, "x", c=2)
    assert (args, kwargs) == ([1, "x"], {"c": 2.0})
    assert call == Arguments(args=(Raw(b"1"), Raw(b'"x"')), kwargs={"c": Raw(b"2")})
    assert bound(nothing) == ([], {}, Arguments())
    assert bound(named, c=1.0)[1] == {"c": 1.0}
    assert bound(plain, 1, b="x")[:2] == ([1], {"b": "x"})


def test_none_as_the_only_input_is_not_nothing() -> None:
    def maybe(x: int | None) -> None: ...

    assert bound(maybe, None) == ([None], {}, Arguments(Raw(b"null")))


def test_a_foreign_null_is_nothing_where_nothing_is_expected() -> None:
    assert Signature("f", nothing).decode(Arguments(Raw(b"null"))) == ([], {})


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "text"),
    [
        (plain, (), {}, "f: no input for 'a': pass one"),
        (plain, (1, "b", 2.0), {}, "f: takes at most 2 positional inputs, got 3"),
        (plain, (1,), {"d": 1}, "f: there is no parameter 'd' to pass by name; it has a, b, c"),
        (plain, (1,), {"a": 1}, "f: parameter 'a' is given by position and by name"),
        (named, (), {}, "f: no input for 'c': pass one"),
        (nothing, (1,), {}, "f: takes at most 0 positional inputs, got 1"),
        (first, (), {"a": 1}, "f: there is no parameter 'a' to pass by name"),
    ],
)
def test_calls_that_do_not_fit_are_refused_on_both_sides(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], text: str
) -> None:
    signature = Signature("f", function)
    with pytest.raises(InvalidPayload) as at_the_caller:
        signature.encode(args, kwargs)
    with pytest.raises(InvalidPayload) as at_the_worker:
        signature.decode(ByName("f", object).encode(args, kwargs) if len(args) != 1 else _apart(args, kwargs))
    assert str(at_the_caller.value).startswith(text)
    assert str(at_the_worker.value) == str(at_the_caller.value)


def _apart(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    return Arguments(
        args=tuple(encode(a, "", "") for a in args), kwargs={n: encode(v, "", "") for n, v in kwargs.items()}
    )


def test_types_of_an_enclosing_function_are_found() -> None:
    class Local(BaseModel):
        x: int

    def uses(one: Local, many: list[Local]) -> Local: ...

    args, _, _ = bound(uses, Local(x=1), [Local(x=2)])
    assert args == [Local(x=1), [Local(x=2)]]


def later(x: DefinedLater) -> None: ...  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]  # noqa: F821


def test_annotations_may_name_what_is_defined_later(monkeypatch: pytest.MonkeyPatch) -> None:
    function: Callable[..., Any] = later  # pyright: ignore[reportUnknownVariableType]
    signature = Signature("f", function)
    with pytest.raises(RegistrationError, match=r"f: the type of its parameter 'x' cannot be used: .*DefinedLater"):
        signature.prepare()
    monkeypatch.setitem(globals(), "DefinedLater", int)
    assert signature.decode(Arguments(Raw(b"3"))) == ([3], {})


def test_a_type_without_a_json_form_is_a_mistake_of_registration() -> None:
    class Opaque: ...

    def uses(x: Opaque) -> None: ...

    with pytest.raises(RegistrationError, match=r"f: the type of its parameter 'x' cannot be used: .*Opaque"):
        Signature("f", uses).prepare()


def test_a_function_that_never_returns_may_say_so() -> None:
    Signature("f", named).prepare()
