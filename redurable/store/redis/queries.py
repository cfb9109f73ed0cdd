"""Questions about many instances, answered from indexes. Writes nothing.

A page is read in two steps: entries of the narrowest index, the newest first, of which the other indexes say whether
they fit; then the instances themselves. Only which of several names an instance has, the hashes say, where its name is
not what is walked. Each step is one script or a few, and looks at a bounded number of instances, so a page may come
back short. The index of what changed when has another order, so it is walked where it is the narrowest and says little
enough to be sorted; elsewhere it is one of the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from redurable.core.values import RuntimeStatus
from redurable.errors import StoreRefused
from redurable.store.queries import LAST, Counts, Found, Place, Query, Standing
from redurable.store.redis.inspect import inspect_keys, snapshot_of
from redurable.store.redis.keys import PartitionKeys
from redurable.store.redis.lane import Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.listing import SPAN, STATUSES, base_of
from redurable.store.redis.searching import (
    MOST_LOOKED_AT,
    Condition,
    Group,
    Range,
    Search,
    changed,
    find,
    weigh,
    weights,
)
from redurable.store.snapshots import Snapshot

_MOST_CHANGED: Final = 2_500
"""Instances that changed in a time, which are sorted for one page."""
_MOST_ATTEMPTS: Final = 8
"""Such steps for one page; each reads eight times as much as the one before."""
_MOST_CANDIDATES: Final = 1_000
"""Instances whose hashes are looked at for one page, about."""
_MOST_NAMES: Final = 16
"""Orchestrators whose indexes are walked for one page."""
_MOST_BYTES: Final = 8 * 1024 * 1024
"""Of the instances of one page, about."""
_SLICE: Final = 500
"""Instances in one script."""


async def query(
    lane: Lane, layout: Layout, consumer: str, asked: Query, limit: int, after: Place | None = None
) -> Found:
    """A page of at most `limit` of the instances that are asked for."""
    search, sort = await _narrowest(lane, layout, asked)
    if sort:
        return await _first_of(lane, layout, asked, limit, await _changed(lane, layout, asked, search, after))
    page, place, seen, room = list[Snapshot](), after, 0, MOST_LOOKED_AT
    for attempt in range(_MOST_ATTEMPTS):
        wanted = limit - len(page)
        if not search.exact:  # of what is found about a fourth was wanted
            wanted = min(wanted << 3 * attempt, (_MOST_CANDIDATES - seen) // 4 + 1)
        found = await find(lane, search, place, wanted, room)
        seen, room = seen + len(found.places), room - found.looked
        fitting = found.places if search.exact else await _named(lane, layout, asked.names, found.places)
        chosen = fitting[: limit - len(page)]
        read = await _read(lane, layout, chosen)
        page += [snapshot for snapshot in read if snapshot is not None and asked.admits(snapshot)]
        if len(read) < len(chosen):
            return Found(tuple(page), chosen[len(read) - 1])
        place = chosen[-1] if len(chosen) < len(fitting) else found.until
        if place is None or len(page) == limit or seen >= _MOST_CANDIDATES or 4 * room < MOST_LOOKED_AT:
            break
    return Found(tuple(page), place)


async def _changed(lane: Lane, layout: Layout, asked: Query, search: Search, after: Place | None) -> list[Place]:
    """What may fit and has changed in the time that is asked for, behind a place, the newest first."""
    places = await changed(lane, search, after)
    return places if search.exact else await _named(lane, layout, asked.names, places)


async def _first_of(lane: Lane, layout: Layout, asked: Query, limit: int, places: Sequence[Place]) -> Found:
    read = await _read(lane, layout, places[:limit])
    page = tuple(snapshot for snapshot in read if snapshot is not None and asked.admits(snapshot))
    return Found(page, places[len(read) - 1] if len(read) < len(places) else None)


async def _narrowest(lane: Lane, layout: Layout, asked: Query) -> tuple[Search, bool]:
    """The way to what is asked for on which least is looked at; and whether it is that of changes, which are sorted."""
    everywhere = [layout.partition(number) for number in range(layout.partitions)]
    if asked.quarantined:
        groups = tuple(Group((Range(keys.parked),), _conditions(keys, asked, asked.tags)) for keys in everywhere)
        searches = [_search(asked, groups, len(asked.names) < 2)]
    else:
        searches = [_listed(everywhere, asked), *(_tagged(everywhere, asked, tag) for tag in asked.tags)]
    by_change = None if _timeless(asked) else _by_change(everywhere, asked)
    if by_change is None and len(searches) == 1:
        return searches[0], False
    counts = await weights(lane, searches if by_change is None else [*searches, by_change])
    least = min(counts[: len(searches)])
    if by_change is not None and counts[-1] <= min(least, _MOST_CHANGED):
        return by_change, True
    return searches[counts.index(least)], False


def _timeless(asked: Query) -> bool:
    return asked.updated_from == 0 and asked.updated_to >= LAST


def _search(asked: Query, groups: tuple[Group, ...], exact: bool) -> Search:
    return Search(groups, asked.created_from, min(asked.created_to, asked.updated_to), exact, asked.prefix)


def _listed(everywhere: Sequence[PartitionKeys], asked: Query) -> Search:
    """By statuses and names; when many names would make many ranges, the hashes say the name."""
    names = asked.names if len(asked.names) <= _MOST_NAMES else ()
    statuses = [status for status in asked.statuses or STATUSES if status in STATUSES]
    groups = tuple(
        Group(
            tuple(
                Range(key, base_of(status))
                for key in ([keys.named(name) for name in names] or [keys.ix])
                for status in statuses
            ),
            (*_tags(keys, asked.tags), *_times(keys, asked)),
        )
        for keys in everywhere
    )
    return _search(asked, groups, names == asked.names)


def _tagged(everywhere: Sequence[PartitionKeys], asked: Query, tag: tuple[str, str]) -> Search:
    others = [other for other in asked.tags if other != tag]
    groups = tuple(Group((Range(keys.tag(*tag)),), _conditions(keys, asked, others)) for keys in everywhere)
    return _search(asked, groups, len(asked.names) < 2)


def _by_change(everywhere: Sequence[PartitionKeys], asked: Query) -> Search:
    # What has not begun has not changed since it was created, and is listed by that alone.
    groups = tuple(
        Group((Range(keys.updated), Range(keys.ix)), (_status(keys, asked), *_tags(keys, asked.tags)))
        for keys in everywhere
    )
    return Search(groups, asked.updated_from, asked.updated_to, len(asked.names) < 2, asked.prefix)


def _conditions(keys: PartitionKeys, asked: Query, tags: Iterable[tuple[str, str]]) -> tuple[Condition, ...]:
    """What an index by creation alone does not say."""
    status = (_status(keys, asked),) if asked.statuses or len(asked.names) == 1 else ()
    return (*status, *_tags(keys, tags), *_times(keys, asked))


def _status(keys: PartitionKeys, asked: Query) -> Condition:
    """The statuses, and the name if it is one."""
    key = keys.named(asked.names[0]) if len(asked.names) == 1 else keys.ix
    wanted = [base_of(status) for status in asked.statuses or STATUSES if status in STATUSES]
    last = min(asked.created_to, SPAN - 1)
    return Condition(key, tuple((base + asked.created_from, base + last) for base in wanted))


def _tags(keys: PartitionKeys, tags: Iterable[tuple[str, str]]) -> tuple[Condition, ...]:
    return tuple(Condition(keys.tag(key, value)) for key, value in tags)


def _times(keys: PartitionKeys, asked: Query) -> tuple[Condition, ...]:
    span = asked.updated_from, asked.updated_to
    return () if _timeless(asked) else (Condition(keys.updated, (span,), lacking=True),)


async def _named(lane: Lane, layout: Layout, names: Sequence[str], places: Sequence[Place]) -> list[Place]:
    """Those whose hashes say that they have one of these names."""
    fitting: list[Place] = []
    for first in range(0, len(places), _SLICE):
        batch = places[first : first + _SLICE]
        keys = [layout.of(place.instance).instance(place.instance) for place in batch]
        fitting += [batch[at - 1] for at in await lane.script("sift", keys, names)]
    return fitting


async def _read(lane: Lane, layout: Layout, places: Sequence[Place]) -> list[Snapshot | None]:
    """The instances there; some may be gone, and when they are large only the first ones are read."""
    read: list[Snapshot | None] = []
    for first in range(0, len(places), _SLICE):
        names = [place.instance for place in places[first : first + _SLICE]]
        keys = [key for name in names for key in inspect_keys(layout.of(name), name)]
        replies: list[Any] = await lane.script("inspect", keys, [_MOST_BYTES])
        read += [reply and _readable(name, reply) for name, reply in zip(names, replies, strict=False)]
        if len(replies) < len(names):
            break
    return read


def _readable(instance: str, reply: list[Any]) -> Snapshot | None:
    """One instance that cannot be read is no reason not to show the others."""
    with contextlib.suppress(StoreRefused):
        return snapshot_of(instance, reply)
    return None


class Row(Struct, frozen=True):
    """What the hash of an instance says; times in milliseconds."""

    status: RuntimeStatus
    execution: str
    name: str
    created: int
    updated: int
    parent: str
    parked: bool


async def stand(lane: Lane, layout: Layout, instances: Sequence[str]) -> list[Row | None]:
    """Where instances stand; None: there is no such instance, or what stands there is none."""
    rows: list[Row | None] = []
    for first in range(0, len(instances), _SLICE):
        keys = [layout.of(instance).instance(instance) for instance in instances[first : first + _SLICE]]
        rows += [_row(reply) for reply in await lane.script("stand", keys, [])]
    return rows


def _row(reply: Sequence[bytes | None]) -> Row | None:
    if not reply or None in reply[:5]:
        return None
    status, execution, name, created, updated, parent, parks = (part or b"" for part in reply)
    with contextlib.suppress(ValueError):
        texts = RuntimeStatus(status.decode()), execution.decode(), name.decode()
        return Row(*texts, int(created), int(updated), parent.decode(), bool(parks))
    return None


async def counts(lane: Lane, layout: Layout, consumer: str) -> Counts:
    """How many instances there are. What this costs grows with the names of orchestrators, and not with instances."""
    everywhere = [layout.partition(number) for number in range(layout.partitions)]
    named: list[tuple[str, RuntimeStatus, Range]] = []
    for keys, names in zip(
        everywhere, await lane.script("members", [keys.names for keys in everywhere], []), strict=True
    ):
        for name in texts(names):
            named += [(name, status, Range(keys.named(name), base_of(status))) for status in STATUSES]
    parked = [(Range(keys.parked), 0, SPAN - 1) for keys in everywhere]
    found = await weigh(lane, [*((part, 0, SPAN - 1) for _, _, part in named), *parked])
    instances: dict[tuple[str, RuntimeStatus], int] = {}
    for (name, status, _), number in zip(named, found, strict=False):
        if number:
            instances[name, status] = instances.get((name, status), 0) + number
    return Counts(instances, sum(found[len(named) :]))


async def children(lane: Lane, layout: Layout, consumer: str, instance: str) -> list[Standing]:
    """The sub-orchestrations of an instance, by their ids."""
    keys = [layout.partition(number).kids(instance) for number in range(layout.partitions)]
    names = sorted(name for members in await lane.script("members", keys, []) for name in texts(members))
    rows = zip(names, await stand(lane, layout, names), strict=True)
    return [
        Standing(name, row.execution, row.status) for name, row in rows if row is not None and row.parent == instance
    ]


async def awaited(lane: Lane, layout: Layout, consumer: str, instances: Sequence[str]) -> list[str]:
    """Those that have not read yet what a parent has asked of them."""
    found: list[str] = []
    for first in range(0, len(instances), _SLICE):
        some = instances[first : first + _SLICE]
        keys = [key for name in some for key in (layout.of(name).instance(name), layout.of(name).mailbox(name))]
        positions: list[int] = await lane.script("awaited", keys, [])
        found += [some[at] for at in positions]
    return found


def texts(members: Iterable[bytes]) -> Iterator[str]:
    """What no instance or orchestrator can be called, a foreign client has put there."""
    for member in members:
        with contextlib.suppress(UnicodeDecodeError):
            yield member.decode()
