"""JSON of the command line: checked, with a usage error that shows where it is wrong, and handed on as it was typed."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import typer
from msgspec import Raw

from redurable.core.sizes import check_nesting
from redurable.core.values import Arguments
from redurable.errors import InvalidPayload

T = TypeVar("T")

MAX_SHOWN = 60


def parse_json(text: str, option: str) -> Any:
    """The value of JSON text that was given to `option`."""
    return _decode(text, option, object)


def parse_arguments(whole: str | None, args: str | None, kwargs: str | None) -> Arguments:
    """The arguments of a call from `--input`, or from `--args` and `--kwargs`."""
    if whole is not None:
        if args is not None or kwargs is not None:
            raise typer.BadParameter("it excludes --args and --kwargs: use one form", param_hint="--input")
        return Arguments(input=_decode(whole, "--input", Raw))
    return Arguments(
        args=_decode(args or "[]", "--args", tuple[Raw, ...]),
        kwargs=_decode(kwargs or "{}", "--kwargs", dict[str, Raw]),
    )


def _decode(text: str, option: str, kind: type[T]) -> T:
    try:
        encoded = text.encode()
        check_nesting("it", encoded)
        return msgspec.json.decode(encoded, type=kind)
    except (msgspec.DecodeError, UnicodeError, InvalidPayload) as error:
        shown = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
        raise typer.BadParameter(f"{error}: {shown}", param_hint=option) from None
