"""Keys that another program wrote over: found when a command goes wrong on them, and named in the error.

A key of a wrong type, and a stream whose ids somebody used up, cannot be worked with and do not heal by themselves.
"""

from __future__ import annotations

from typing import Any, Final

from redurable.store.redis.keys import type_of
from redurable.store.redis.wire import LAST_ID

SIGNS: Final = ("WRONGTYPE", "exhausted")
"""Words of the server's errors then."""


def keys_in(command: tuple[str | bytes | int, ...]) -> list[str]:
    """What looks like one of our keys among the words of a command."""
    return list(dict.fromkeys(word for word in command if isinstance(word, str) and type_of(word)))


def named(keys: list[str], found: list[Any]) -> dict[str, str]:
    """What is wrong with each damaged key, and what to do; `found` is what `types.lua` says of them."""
    wrongs: dict[str, str] = {}
    for key, (kind, last) in zip(keys, found, strict=True):
        wanted, there = type_of(key), kind.decode()
        if there not in ("none", wanted):
            wrongs[key] = f"{key!r} is a {there} where redurable keeps a {wanted}: another program has written over it"
        elif last.decode() == LAST_ID:
            wrongs[key] = f"the stream {key!r} takes no more entries: another program has used up its ids"
    return wrongs


def told(wrongs: dict[str, str], words: str) -> str:
    """One text for all of them; the server's words when nothing was found, because it is repaired by now."""
    if not wrongs:
        return f"the server could not work on what is stored: {words}"
    return f"{'; '.join(wrongs.values())}. Rename or delete that key"
