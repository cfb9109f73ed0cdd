"""Questions about many instances, answered from indexes. Writes nothing.

A page is read in three steps: entries of the narrowest index, the newest first, merged over the partitions; where the
index does not say all, what stands in the hashes; at last the instances themselves. Each step is one script or a few,
and looks at a bounded number of instances, so a page may come back short. The index of what changed when has another
order, so it is read where it says little enough to be sorted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from redurable.core.values import RuntimeStatus
from redurable.errors import StoreRefused
from redurable.store.queries import LAST, Counts, Found, Place, Query, Standing
from redurable.store.redis.inspect import inspect_keys, snapshot_of
from redurable.store.redis.keyring import Keyring
from redurable.store.redis.keys import PartitionKeys
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.listing import SPAN, STATUSES, base_of
from redurable.store.snapshots import Snapshot

_MOST_LOOKED_AT: Final = 10_000
"""Entries of indexes that are looked at in one step."""
_MOST_CHANGED: Final = 3_000
"""Instances that changed in a time, which are sorted for one page."""
_MOST_ATTEMPTS: Final = 8
"""Such steps for one page; each reads eight times as much as the one before."""
_MOST_CANDIDATES: Final = 1_000
"""Instances whose hashes are looked at for one page, about."""
_MOST_NAMES: Final = 64
"""Orchestrators whose indexes are merged for one page."""
_MOST_BYTES: Final = 8 * 1024 * 1024
"""Of the instances of one page, about."""
_SLICE: Final = 500
"""Instances in one script."""


class _Range(Struct, frozen=True):
    """The entries of an index whose scores lie `base` above a time; `also` are indexes that must have them, too. `told`
    is the index whose scores are told of them, empty: this one."""

    key: str
    base: int
    also: tuple[str, ...] = ()
    told: str = ""


class _Plan(Struct, frozen=True):
    """Where to look. `exact`: all that is found there fits, as far as the indexes go."""

    asked: Query
    ranges: tuple[_Range, ...]
    exact: bool
    partitions: int

    @property
    def first(self) -> int:
        """Nothing that fits was created before."""
        return self.asked.created_from

    @property
    def last(self) -> int:
        """Nothing that fits was created later."""
        return min(self.asked.created_to, self.asked.updated_to)


async def query(
    lane: Lane, layout: Layout, consumer: str, asked: Query, limit: int, after: Place | None = None
) -> Found:
    """A page of at most `limit` of the instances that are asked for."""
    changed = None if _timeless(asked) else await _changed(lane, layout, asked)
    if changed is not None:
        return await _first_of(lane, layout, asked, limit, [place for place in changed if not after or place < after])
    plan, page, place, seen = await _plan(lane, layout, asked), list[Snapshot](), after, 0
    for attempt in range(_MOST_ATTEMPTS):
        room = (_MOST_CANDIDATES - seen) // 4 + 1  # of what is found about a fourth was wanted
        places, reached = await _find(lane, plan, place, min((limit - len(page)) << 3 * attempt, room))
        seen += len(places)
        fitting = places if plan.exact else await _fitting(lane, layout, asked, places)
        chosen = fitting[: limit - len(page)]
        read = await _read(lane, layout, chosen)
        page += [snapshot for snapshot in read if snapshot is not None and asked.admits(snapshot)]
        if len(read) < len(chosen):
            return Found(tuple(page), chosen[len(read) - 1])
        place = chosen[-1] if len(chosen) < len(fitting) else reached
        if place is None or len(page) == limit or seen >= _MOST_CANDIDATES:
            break
    return Found(tuple(page), place)


async def _changed(lane: Lane, layout: Layout, asked: Query) -> list[Place] | None:
    """What may fit and has changed in the time that is asked for, the newest first; None: too many have."""
    everywhere = [layout.partition(number) for number in range(layout.partitions)]
    # What has not begun has not changed since it was created, and is listed by that alone.
    ranges = tuple(
        _Range(key, 0, _tags(keys, asked), keys.ix) for keys in everywhere for key in (keys.updated, keys.ix)
    )
    if sum(await _weigh(lane, [(part, asked.updated_from, asked.updated_to) for part in ranges])) > _MOST_CHANGED:
        return None
    when = replace(asked, created_from=asked.updated_from, created_to=asked.updated_to)
    found, _ = await _find(lane, _Plan(when, ranges, False, 1), None, _MOST_CHANGED)
    wanted = {STATUSES.index(status) for status in asked.statuses if status in STATUSES} or range(len(STATUSES))
    places = {Place(scored.created % SPAN, scored.instance) for scored in found if scored.created // SPAN in wanted}
    fitting = [place for place in places if asked.created_from <= place.created <= asked.created_to]
    return sorted(await _fitting(lane, layout, asked, fitting) if asked.names else fitting, reverse=True)


async def _first_of(lane: Lane, layout: Layout, asked: Query, limit: int, places: Sequence[Place]) -> Found:
    read = await _read(lane, layout, places[:limit])
    page = tuple(snapshot for snapshot in read if snapshot is not None and asked.admits(snapshot))
    return Found(page, places[len(read) - 1] if len(read) < len(places) else None)


async def _plan(lane: Lane, layout: Layout, asked: Query) -> _Plan:
    """The narrowest way to what is asked for."""
    everywhere = [layout.partition(number) for number in range(layout.partitions)]
    plain = _timeless(asked) and not asked.statuses and not asked.names
    if asked.quarantined:
        return _Plan(
            asked, tuple(_Range(keys.parked, 0, _tags(keys, asked)) for keys in everywhere), plain, len(everywhere)
        )
    plans = [_listed(everywhere, asked)]
    plans += [
        _Plan(asked, tuple(_tagged(everywhere, asked, at)), plain, len(everywhere)) for at in range(len(asked.tags))
    ]
    if len(plans) == 1:
        return plans[0]
    counts = iter(await _weigh(lane, [(part, plan.first, plan.last) for plan in plans for part in plan.ranges]))
    weights = [sum(next(counts) for _ in plan.ranges) for plan in plans]
    return plans[weights.index(min(weights))]


def _timeless(asked: Query) -> bool:
    return asked.updated_from == 0 and asked.updated_to >= LAST


def _listed(everywhere: Sequence[PartitionKeys], asked: Query) -> _Plan:
    """By statuses and names; when many names would make many ranges, the hashes say the name."""
    names = asked.names if len(asked.names) <= _MOST_NAMES else ()
    statuses = [status for status in asked.statuses or STATUSES if status in STATUSES]
    ranges = [
        _Range(key, base_of(status), _tags(keys, asked))
        for keys in everywhere
        for key in ([keys.named(name) for name in names] or [keys.ix])
        for status in statuses
    ]
    return _Plan(asked, tuple(ranges), _timeless(asked) and names == asked.names, len(everywhere))


def _tagged(everywhere: Iterable[PartitionKeys], asked: Query, at: int) -> Iterator[_Range]:
    for keys in everywhere:
        tags = _tags(keys, asked)
        yield _Range(tags[at], 0, tags[:at] + tags[at + 1 :])


def _tags(keys: PartitionKeys, asked: Query) -> tuple[str, ...]:
    return tuple(keys.tag(key, value) for key, value in asked.tags)


async def _weigh(lane: Lane, ranges: Sequence[tuple[_Range, int, int]]) -> list[int]:
    """How many entries these have, between these times."""
    ring, args = Keyring(), list[Argument]()
    for part, first, last in ranges:
        args += (ring.shared(part.key), part.base + first, part.base + last)
    return await lane.script("weigh", ring.keys, args)


async def _find(lane: Lane, plan: _Plan, after: Place | None, wanted: int) -> tuple[list[Place], Place | None]:
    """The next places behind one, and down to where they are all; None: to the end."""
    ranges = plan.ranges if after is None or after.created >= plan.first else ()
    # Instances are spread evenly over the partitions, and often lie in one of the ranges of each.
    ring, args = Keyring(), list[Argument]()
    each = (2 if plan.exact else 4) * wanted // plan.partitions + 4
    share = max(_MOST_LOOKED_AT // max(len(ranges), 1), each)
    args += (plan.asked.prefix, after.instance if after else "", each, share)
    for part in ranges:
        place = part.base + after.created if after and after.created <= plan.last else ""
        args += (ring.shared(part.key), part.base + plan.first, part.base + plan.last, place)
        args += (ring.shared(part.told or part.key), len(part.also), *map(ring.shared, part.also))
    found: list[Place] = []
    reached: list[Place] = []
    for part, (entries, *end) in zip(ranges, await lane.script("find", ring.keys, args), strict=True):
        found += [_place(part, *pair) for pair in zip(entries[::2], entries[1::2], strict=True)]
        reached += [_place(part, *end)] if end else []
    until = max(reached, default=None)
    return sorted((place for place in found if until is None or place >= until), reverse=True), until


def _place(part: _Range, instance: bytes, score: bytes) -> Place:
    # What no instance can be called, a foreign client has put there: it is looked for in vain.
    return Place(int(float(score)) - part.base, instance.decode(errors="replace"))


async def _fitting(lane: Lane, layout: Layout, asked: Query, places: Sequence[Place]) -> list[Place]:
    """Those whose hashes say that they fit."""
    fitting: list[Place] = []
    statuses = [status.value for status in asked.statuses]
    times = ("", "") if _timeless(asked) else (asked.updated_from, asked.updated_to)
    args: list[Argument] = [*times, len(statuses), *statuses, *asked.names]
    for first in range(0, len(places), _SLICE):
        batch = places[first : first + _SLICE]
        keys = [layout.of(place.instance).instance(place.instance) for place in batch]
        fitting += [batch[at - 1] for at in await lane.script("sift", keys, args)]
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
    named: list[tuple[str, RuntimeStatus, _Range]] = []
    for keys, names in zip(
        everywhere, await lane.script("members", [keys.names for keys in everywhere], []), strict=True
    ):
        for name in texts(names):
            named += [(name, status, _Range(keys.named(name), base_of(status))) for status in STATUSES]
    parked = [(_Range(keys.parked, 0), 0, SPAN - 1) for keys in everywhere]
    found = await _weigh(lane, [*((part, 0, SPAN - 1) for _, _, part in named), *parked])
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
