"""What the janitor asks: which instances ended too long ago, and whether the indexes say what is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from redurable.core.values import RuntimeStatus
from redurable.store.queries import Standing
from redurable.store.redis.keys import PartitionKeys
from redurable.store.redis.lane import Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.listing import base_of
from redurable.store.redis.queries import Row, stand, texts
from redurable.store.redis.sweep import announce

_WALKS: Final = ("parked", "open", "ix")
"""Who is looked at: who may be listed, and who must be."""


async def expired(
    lane: Lane,
    layout: Layout,
    consumer: str,
    partition: int,
    ages: Mapping[RuntimeStatus, int],
    count: int,
    skip: int = 0,
) -> list[Standing]:
    """Instances that ended too long ago, those of a status oldest first, but for the first `skip`."""
    keys, found = layout.partition(partition), list[Standing]()
    seconds, micros = await lane.call("TIME")
    now = int(seconds) * 1000 + int(micros) // 1000
    for status, age in ages.items():
        least, most = base_of(status), base_of(status) + now - age
        listed: int = await lane.call("ZCOUNT", keys.ended, least, most) if skip else 0
        at = skip
        while len(found) < count:
            members = await lane.call("ZRANGEBYSCORE", keys.ended, least, most, "LIMIT", at, count - len(found))
            some = await _old(lane, keys, status, (least, most), members)
            found += some
            at += len(some)
            if len(some) == len(members):  # Else some of them were none, and have left room for those behind.
                break
        skip = max(skip - listed, 0)
    return found


async def _old(
    lane: Lane, keys: PartitionKeys, status: RuntimeStatus, span: tuple[int, int], members: Sequence[bytes]
) -> list[Standing]:
    """Who of these ended so long ago; whoever did not is listed there no more."""
    names = list(texts(members))
    if len(names) < len(members):
        known = {name.encode() for name in names}
        await lane.call("ZREM", keys.ended, *(member for member in members if member not in known))
    if not names:
        return []
    executions = await lane.script("overdue", [keys.ended, *map(keys.instance, names)], [status.value, *span, *names])
    return [
        Standing(name, execution.decode(errors="replace"), status)
        for name, execution in zip(names, executions, strict=True)
        if execution is not None
    ]


async def disown(lane: Lane, layout: Layout, consumer: str, instance: str, parent: str) -> None:
    """A sub-orchestration is on its own from now on."""
    keys = layout.of(instance)
    await lane.script("disown", [keys.instance(instance), keys.kids(parent), keys.ended], [instance, parent])


async def mend(lane: Lane, layout: Layout, consumer: str, partition: int, cursor: str, count: int) -> tuple[str, int]:
    """Look at some instances of a partition, in one of its lists after the other; names that nobody has any more go."""
    keys = layout.partition(partition)
    walk, _, at = (cursor or f"{_WALKS[0]}:0").partition(":")
    listed: str = getattr(keys, walk)
    scan = "SSCAN" if walk == "open" else "ZSCAN"
    following, flat = await lane.call(scan, listed, at, "COUNT", count)
    names = list(texts(flat if walk == "open" else flat[::2]))
    mended = await _mend(lane, layout, keys, names)
    if following != b"0":
        return f"{walk}:{following.decode()}", mended
    rest = _WALKS[_WALKS.index(walk) + 1 :]
    return f"{rest[0]}:0" if rest else "", mended


async def _mend(lane: Lane, layout: Layout, keys: PartitionKeys, names: Sequence[str]) -> int:
    if not names:
        return 0
    rows = dict(zip(names, await stand(lane, layout, names), strict=True))
    there = {name: row for name, row in rows.items() if row is not None}
    own = [key for name, row in there.items() for key in (keys.instance(name), keys.named(row.name))]
    args = [part for name, row in there.items() for part in (name, row.name)]
    mended: int = (
        await lane.script("mend", [keys.ix, keys.ended, keys.parked, keys.updated, keys.names, *own], args)
        if there
        else 0
    )
    mended += await _unlist(lane, keys, [name for name, row in rows.items() if row is None])
    mended += await announce(lane, keys, [name for name, row in there.items() if row.status.finished])
    return mended + await _disown_orphans(lane, layout, there)


async def _unlist(lane: Lane, keys: PartitionKeys, gone: Sequence[str]) -> int:
    if not gone:
        return 0
    zsets = [keys.ix, keys.ended, keys.parked, keys.updated]
    zsets += [keys.named(name) for name in texts(await lane.call("SMEMBERS", keys.names))]
    return await lane.script("unlist", [*zsets, *map(keys.instance, gone)], [len(zsets), *gone])


async def _disown_orphans(lane: Lane, layout: Layout, rows: Mapping[str, Row]) -> int:
    """Whose parent is gone; a start that was under way when its parent was purged comes after it."""
    parents = sorted({row.parent for row in rows.values() if row.parent})
    alive = await stand(lane, layout, parents)
    gone = {parent for parent, row in zip(parents, alive, strict=True) if row is None}
    orphans = [(name, row.parent) for name, row in rows.items() if row.parent in gone]
    for name, parent in orphans:
        await disown(lane, layout, "", name, parent)
    return len(orphans)
