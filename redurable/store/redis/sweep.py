"""Mail that nobody was told of: found by asking for the mailboxes of all waiting instances, again and again.

Most instances have no mail, so whole groups of them are asked about by one native command, and a script looks closer
only where there is some. The list of who waits costs the server more than the question itself, so it is kept, and
read again when an instance began or ended: every end adds to the feed, and every beginning to the number. And there is
no walk at all while no program appended anything to any stream of the server.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from redis.exceptions import ResponseError

from redurable.store.redis.keys import PartitionKeys
from redurable.store.redis.lane import Lane
from redurable.store.redis.layout import Layout, Waiting

OVERDUE_MS: Final = 60_000
"""A parked instance whose wake-up is so late has lost its timer: its mail is announced."""

WALKS: Final = 10
"""Each tenth walk of a partition also looks for what is rare and no foreign client writes, start messages that lost
their bell, and is made although nothing was appended: a stream can also be renamed or restored."""

_APPENDED = b"cmdstat_xadd:calls="
_FIRST = "0"
_GLANCE = 1000
"""Instances per EXISTS."""
_CLOSER = 50
"""Instances per script, and per EXISTS before it, where some of a glance have mail."""


async def sweep(lane: Lane, layout: Layout, consumer: str, partition: int, cursor: str, count: int) -> tuple[str, int]:
    """Announce waiting instances with mail whose bell nobody heard: about `count` instances behind `cursor`.

    Return the next cursor ("" at the end) and how many were announced.
    """
    keys = layout.partition(partition)
    waiting = layout.waiting.setdefault(partition, Waiting())
    if not cursor and not await _begins(lane, waiting):
        return "", 0
    members, following = await _members(lane, keys, waiting, cursor, count)
    bases = [keys.mailbox("").encode()]
    if waiting.walks % WALKS == 1 or len(members) <= _GLANCE:
        bases.append(keys.start("").encode())
    announced = 0
    for group in _slices(members, _GLANCE):
        if await lane.call("EXISTS", *[base + member for base in bases for member in group]):
            waiting.found = True
            announced += await _announce(lane, keys, bases, group)
    return following, announced


async def _begins(lane: Lane, waiting: Waiting) -> bool:
    """Whether another walk makes sense: not when the last one found nothing and no stream of this server has grown."""
    waiting.walks += 1
    appended = await _appended(lane)
    if appended and appended == waiting.appended and not waiting.found and waiting.walks % WALKS != 1:
        return False
    waiting.appended, waiting.found = appended, False
    return True


async def _appended(lane: Lane) -> bytes:
    """How often XADD was called on this server, by whomever; empty where the server does not tell."""
    try:
        text: bytes = await lane.call("INFO", "commandstats")
    except ResponseError:
        return b""
    return text.partition(_APPENDED)[2].partition(b",")[0]


async def _members(
    lane: Lane, keys: PartitionKeys, waiting: Waiting, cursor: str, count: int
) -> tuple[Sequence[bytes], str]:
    """Some of who waits, and the next cursor: all at once while they are few."""
    if not cursor:
        size: int = await lane.call("SCARD", keys.open)
        if size <= count:
            newest: list[Any] = await lane.call("XREVRANGE", keys.feed, "+", "-", "COUNT", 1) if size else []
            moment = (size, newest[0][0] if newest else b"")
            if waiting.moment != moment:
                # The moment is looked at before the members, so what changes in between is read once more next time.
                waiting.members = await lane.call("SMEMBERS", keys.open) if size else []
                waiting.moment = moment
            return waiting.members, ""
        waiting.moment, waiting.members = (0, b""), []
    reply = await lane.call("SSCAN", keys.open, cursor or _FIRST, "COUNT", count)
    following = reply[0].decode()
    return reply[1], "" if following == _FIRST else following


async def _announce(lane: Lane, keys: PartitionKeys, bases: Sequence[bytes], group: Sequence[bytes]) -> int:
    """Announce those of a group that have mail and no bell."""
    announced = 0
    for few in _slices(group, _CLOSER):
        if len(group) > _CLOSER and not await lane.call("EXISTS", *[base + member for base in bases for member in few]):
            continue
        found = list(_texts(few))
        own = [key for name in found for key in (keys.instance(name), keys.start(name), keys.mailbox(name))]
        if found:
            announced += await lane.script("sweep", [keys.ready, *own], [OVERDUE_MS, *found])
    return announced


def _slices(members: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (members[first : first + size] for first in range(0, len(members), size))


def _texts(members: Sequence[bytes]) -> Iterator[str]:
    """What no instance can be called, a foreign client has put there."""
    for member in members:
        with contextlib.suppress(UnicodeDecodeError):
            yield member.decode()
