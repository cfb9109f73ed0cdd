"""Lua scripts by name: read from `lua/`, their fragments put in, addressed by the hash of their text.

The address follows the text, so workers of two releases run side by side, each with its own scripts.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from importlib.resources import files
from importlib.resources.abc import Traversable

from msgspec import Struct

_HEADER = ("-- Purpose", "-- Invariant", "-- KEYS", "-- ARGV", "-- Returns")
_READS = "-- Invariant: writes nothing"
_INCLUDE = "--@include "


class Script(Struct, frozen=True):
    """A script's text, and the address that EVALSHA takes. One that `reads` only is run so that the server holds it to
    that: a user who may read only may run it."""

    sha: str
    text: str
    reads: bool


@cache
def load(name: str) -> Script:
    """The script `lua/<name>.lua`; raises `ValueError` when its header does not say what a reader must know."""
    source = _read(name)
    missing = [line for line in _HEADER if line not in source]
    if missing:
        raise ValueError(f"lua/{name}.lua: its header has no line {', '.join(map(repr, missing))}: add it")
    lines = [
        _read(line.removeprefix(_INCLUDE).strip()).rstrip() if line.startswith(_INCLUDE) else line
        for line in source.splitlines()
    ]
    text = "\n".join(lines) + "\n"
    return Script(sha1(text.encode(), usedforsecurity=False).hexdigest(), text, _READS in source)


def name_of(address: str) -> str:
    """The script with this address, or with this text; "eval" for one that is not ours."""
    return _by_address().get(address, "eval")


@cache
def _by_address() -> dict[str, str]:
    scripts = {name: load(name) for name in names()}
    return {address: name for name, script in scripts.items() for address in (script.sha, script.text)}


def names() -> list[str]:
    """All scripts, without the fragments."""
    found = (entry.name for entry in _folder().iterdir())
    return sorted(name.removesuffix(".lua") for name in found if name.endswith(".lua") and not name.startswith("_"))


def _folder() -> Traversable:
    return files("redurable.store.redis") / "lua"


def _read(name: str) -> str:
    return (_folder() / f"{name}.lua").read_text(encoding="utf-8")
