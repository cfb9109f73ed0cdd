"""Between user values and opaque JSON: `encode` for any value, a `Codec` for a place with a declared type.

On the hot path of every call, so plain scalars take a short way; everything else is pydantic's. Non-finite floats
travel as the strings "NaN", "Infinity" and "-Infinity", except in fields of a pydantic model, whose own configuration
(`ser_json_inf_nan`) decides.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Never, NoReturn, cast

import msgspec
import orjson
from msgspec import Raw
from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from redurable.core.values import NULL
from redurable.errors import InvalidPayload, RegistrationError

Reader = Callable[[Raw], Any]

_TRUE = Raw(b"true")
_FALSE = Raw(b"false")
_EXACT = 2**53
"""JSON readers that keep numbers as doubles agree on integers up to here; larger ones go the long way."""

_SCALARS = (str, int, bool, float, type(None))
_UNTYPED = (Any, object, inspect.Parameter.empty, NoReturn, Never)
_MAX_SHOWN = 80


def encode(value: object, owner: str, part: str) -> Raw:
    """The JSON of a value. Raises `InvalidPayload` that names `part` (a parameter, the result) of `owner`."""
    kind = type(value)
    if kind is str:
        try:
            return Raw(orjson.dumps(value))
        except orjson.JSONEncodeError as error:
            raise _unencodable(value, owner, part, str(error)) from None
    if value is None:
        return NULL
    if kind is bool:
        return _TRUE if value else _FALSE
    if kind is int and -_EXACT <= cast("int", value) <= _EXACT:
        return Raw(b"%d" % value)
    try:
        return Raw(to_json(value, inf_nan_mode="strings"))
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise _unencodable(value, owner, part, str(error)) from None


def _unencodable(value: object, owner: str, part: str, reason: str) -> InvalidPayload:
    return InvalidPayload(
        f"{owner}: {part} of type {type(value).__qualname__} cannot be encoded as JSON: {reason}: "
        "use plain data, dataclasses or pydantic models"
    )


def decode_any(payload: Raw) -> Any:
    """The plain Python value of any JSON; integers stay exact."""
    return from_json(bytes(payload))


class Codec:
    """A place that values go through, such as "parameter 'order'" or "result" of a function.

    The annotation is resolved and its reader built once, at the first use or by `prepare`: forward references may
    name what is defined later.
    """

    __slots__ = ("_annotation", "_owner", "_part", "_read")

    def __init__(self, owner: str, part: str, annotation: Callable[[], object]) -> None:
        self._owner = owner
        self._part = part
        self._annotation = annotation
        self._read: Reader | None = None

    def encode(self, value: object) -> Raw:
        """The JSON of a value; raises `InvalidPayload`."""
        return encode(value, self._owner, self._part)

    def decode(self, payload: Raw) -> Any:
        """The value of JSON, validated by the annotation; raises `InvalidPayload`."""
        read = self._read or self.prepare()
        try:
            return read(payload)
        except ValueError as error:
            shown = bytes(payload).decode(errors="replace")
            shown = shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 1] + "…"
            raise InvalidPayload(f"{self._owner}: {self._part} does not accept {shown}: {_reason(error)}") from None

    def prepare(self) -> Reader:
        """Build the reader now; raises `RegistrationError` for an annotation that has no JSON form."""
        try:
            self._read = reader(self._annotation())
        except (NameError, AttributeError, SyntaxError, TypeError, PydanticUserError) as error:
            raise RegistrationError(
                f"{self._owner}: the type of its {self._part} cannot be used: {error}: annotate it with plain types, "
                "dataclasses or pydantic models that can be found from the module of the function"
            ) from error
        return self._read


def reader(annotation: Any) -> Reader:
    """How values of this type are read from JSON."""
    try:
        return _cached_reader(annotation)
    except TypeError:  # not hashable, such as Annotated with a list
        return _build(annotation)


def _build(annotation: Any) -> Reader:
    if any(annotation is kind for kind in _UNTYPED):
        return decode_any
    kind = type(None) if annotation is None else annotation
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    validate = adapter.validate_json
    if not any(kind is scalar for scalar in _SCALARS):
        return lambda payload: validate(bytes(payload))
    exact = msgspec.json.Decoder(kind).decode

    def read(payload: Raw) -> Any:
        try:
            return exact(payload)
        except msgspec.MsgspecError:
            return validate(bytes(payload))

    return read


_cached_reader = lru_cache(maxsize=1024)(_build)


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(": ".join([*filter(None, [".".join(map(str, item["loc"]))]), item["msg"]]) for item in details)
