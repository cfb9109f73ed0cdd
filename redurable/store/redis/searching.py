"""Where to look for instances: ranges of indexes, which the server reads as one list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from redurable.store.queries import Place
from redurable.store.redis.keyring import Keyring
from redurable.store.redis.lane import Argument, Lane

MOST_LOOKED_AT: Final = 10_000
"""Lookups in indexes for one page, about."""


class Range(Struct, frozen=True):
    """The entries of an index whose scores lie `base` above a time."""

    key: str
    base: int = 0


class Condition(Struct, frozen=True):
    """An index that must have an instance, too, with a score in one of the spans (none: with any). `lacking`: what it
    lacks counts as if it had its time there."""

    key: str
    spans: tuple[tuple[int, int], ...] = ()
    lacking: bool = False


class Group(Struct, frozen=True):
    """Ranges, and the conditions that what is found in them must fit."""

    ranges: tuple[Range, ...]
    conditions: tuple[Condition, ...] = ()


class Search(Struct, frozen=True):
    """The entries between two times. `exact`: what is found fits, as far as the indexes go."""

    groups: tuple[Group, ...]
    first: int
    last: int
    exact: bool
    prefix: str = ""


class Finds(Struct, frozen=True):
    """Places, the newest first, down to where they are all (None: to the end), and by how many lookups."""

    places: list[Place]
    until: Place | None
    looked: int


async def weigh(lane: Lane, ranges: Sequence[tuple[Range, int, int]]) -> list[int]:
    """How many entries these have, between these times."""
    ring, args = Keyring(), list[Argument]()
    for part, first, last in ranges:
        args += (ring.shared(part.key), part.base + first, part.base + last)
    return await lane.script("weigh", ring.keys, args)


async def weights(lane: Lane, searches: Sequence[Search]) -> list[int]:
    """How many entries these would look at."""
    parts = [
        [(part, search.first, search.last) for group in search.groups for part in group.ranges] for search in searches
    ]
    counts = iter(await weigh(lane, [part for some in parts for part in some]))
    return [sum(next(counts) for _ in some) for some in parts]


async def find(lane: Lane, search: Search, after: Place | None, wanted: int, most: int) -> Finds:
    """The next places behind one, about `wanted`, by about `most` lookups in indexes."""
    if after is not None and after.created < search.first:
        return Finds([], None, 0)
    ring = Keyring()
    args: list[Argument] = [search.prefix, search.first, search.last]
    args += (after.created, after.instance) if after is not None and after.created <= search.last else ("", "")
    args += (wanted, most)
    for group in search.groups:
        _pack(ring, args, group.conditions)
        args.append(len(group.ranges))
        for part in group.ranges:
            args += (ring.shared(part.key), part.base)
    entries, looked, *end = await lane.script("find", ring.keys, args)
    # All of the time that it has come down to are there: what comes next lies behind every id of that time.
    return Finds(sorted(_places(entries), reverse=True), Place(end[0], "") if end else None, looked)


async def changed(lane: Lane, search: Search, after: Place | None) -> list[Place]:
    """All that changed between the two times and lies behind a place, the newest first. Each group has two ranges, by
    change and by creation, and its first condition is an index by status and creation."""
    ring = Keyring()
    args: list[Argument] = [search.prefix, search.first, search.last, "" if after is None else after.created]
    for group in search.groups:
        args += (ring.shared(part.key) for part in group.ranges)
        _pack(ring, args, group.conditions)
    places = set(_places(await lane.script("changed", ring.keys, args)))
    return sorted((place for place in places if after is None or place < after), reverse=True)


def _pack(ring: Keyring, args: list[Argument], conditions: Sequence[Condition]) -> None:
    args.append(len(conditions))
    for one in conditions:
        args += (ring.shared(one.key), int(one.lacking), len(one.spans))
        for span in one.spans:
            args += span


def _places(entries: Sequence[Any]) -> list[Place]:
    # What no instance can be called, a foreign client has put there: it is looked for in vain.
    names = (name.decode(errors="replace") for name in entries[::2])
    return [Place(time, name) for time, name in zip(entries[1::2], names, strict=True)]
