"""The inputs and the result of a function: how a call of it is checked, travels, and is bound again."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, get_type_hints

from redurable.authoring.payloads import Codec, encode
from redurable.core.values import ABSENT, NULL, Arguments
from redurable.errors import InvalidPayload, RegistrationError

_NO_INPUTS = Arguments()
_NEVER = sys.maxsize


class Signature:
    """See the module. `owner` is how errors name the function; `skip` parameters at its front are not inputs."""

    def __init__(self, owner: str, function: Callable[..., Any], skip: int = 0) -> None:
        resolve = _Annotations(function)
        declared = inspect.signature(function)
        parameters = list(declared.parameters.values())[skip:]
        for parameter in parameters:
            _check_kind(owner, parameter)
        self.owner = owner
        self.names = tuple(parameter.name for parameter in parameters)
        self.result = Codec(owner, "result", partial(resolve, declared.return_annotation))
        codecs = {p.name: Codec(owner, f"parameter {p.name!r}", partial(resolve, p.annotation)) for p in parameters}
        self._codecs = codecs
        self._positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self._in_order = [codecs[name] for name in self._positional]
        self._by_name = {p.name: codecs[p.name] for p in parameters if p.kind is not p.POSITIONAL_ONLY}
        self._required = [p.name for p in parameters if p.default is p.empty]
        only_by_name = any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
        self._least = _NEVER if only_by_name else len(self._required)
        self._most = len(self._positional)

    def prepare(self) -> None:
        """Resolve all annotations now; raises `RegistrationError` for one that cannot be used."""
        for codec in (*self._codecs.values(), self.result):
            codec.prepare()

    def encode(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
        """The inputs as they travel. Raises `InvalidPayload` when they do not fit the signature or have no JSON."""
        self._check(len(args), kwargs)
        if not kwargs and len(args) < 2:
            return Arguments(self._in_order[0].encode(args[0])) if args else _NO_INPUTS
        return Arguments(
            args=tuple([codec.encode(value) for codec, value in zip(self._in_order, args, strict=False)]),
            kwargs={name: self._by_name[name].encode(value) for name, value in kwargs.items()},
        )

    def decode(self, call: Arguments) -> tuple[list[Any], dict[str, Any]]:
        """The inputs as Python values. Raises `InvalidPayload` when they do not fit the signature or its types."""
        args = call.args if call.input is ABSENT else (call.input,)
        if not self.names and call.input == NULL:
            args = ()  # How a foreign client says "nothing".
        self._check(len(args), call.kwargs)
        return (
            [codec.decode(payload) for codec, payload in zip(self._in_order, args, strict=False)],
            {name: self._by_name[name].decode(payload) for name, payload in call.kwargs.items()},
        )

    def _check(self, count: int, keywords: Collection[str]) -> None:
        if not keywords and self._least <= count <= self._most:
            return
        if count > self._most:
            raise InvalidPayload(f"{self.owner}: takes at most {self._most} positional inputs, got {count}")
        given = set(self._positional[:count])
        for name in keywords:
            if name not in self._by_name:
                known = ", ".join(self.names) or "none at all"
                raise InvalidPayload(f"{self.owner}: there is no parameter {name!r} to pass by name; it has {known}")
            if name in given:
                raise InvalidPayload(f"{self.owner}: parameter {name!r} is given by position and by name: give it once")
        missing = [name for name in self._required if name not in given and name not in keywords]
        if missing:
            raise InvalidPayload(f"{self.owner}: no input for {', '.join(map(repr, missing))}: pass one")


class ByName:
    """Stands for the signature of a function that is known by its name alone: inputs go as they are given."""

    def __init__(self, owner: str, result_type: object) -> None:
        self.owner = owner
        self.result = Codec(owner, "result", lambda: result_type)

    def encode(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
        """The inputs as they travel. Raises `InvalidPayload` for one that has no JSON."""
        values = tuple([encode(value, self.owner, f"input {number}") for number, value in enumerate(args, 1)])
        if len(values) == 1 and not kwargs:
            return Arguments(values[0])
        named = {name: encode(value, self.owner, f"input {name!r}") for name, value in kwargs.items()}
        return Arguments(args=values, kwargs=named)


def _check_kind(owner: str, parameter: inspect.Parameter) -> None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise RegistrationError(f"{owner}: {parameter} cannot be an input: take a list or a dict instead")


class _Annotations:
    """Resolves what a function's annotations say, text included, where that function was defined."""

    def __init__(self, function: Callable[..., Any]) -> None:
        inner: Any = inspect.unwrap(function)
        self._globals: dict[str, Any] = getattr(inner, "__globals__", {})
        self._locals = _enclosing_locals(inner)

    def __call__(self, annotation: object) -> object:
        # One by one: an annotation that is not needed, such as that of the context, may name what is not imported.
        holder = SimpleNamespace(__annotations__={"it": annotation})
        return get_type_hints(holder, self._globals, self._locals, include_extras=True)["it"]


def _enclosing_locals(function: Any) -> dict[str, Any]:
    """The local names around a function that is being defined inside another one: tests define types there."""
    code = getattr(function, "__code__", None)
    if code is None or "<locals>" not in function.__qualname__:
        return {}
    frame = inspect.currentframe()
    while frame is not None and code not in frame.f_code.co_consts:
        frame = frame.f_back
    return {} if frame is None else dict(frame.f_locals)
