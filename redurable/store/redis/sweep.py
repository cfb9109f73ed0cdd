"""Mail that nobody was told of: found by asking for the mailboxes of waiting instances, again and again.

Most instances have no mail, so whole groups of them are asked about by one native command, and a script looks closer
only where there is some. Who had none is not asked about again before the server says that something was written to
that mailbox: it remembers what was asked here. The same holds for the list of who waits; when that has changed, the
indexes tell who is new.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redurable.errors import StoreDamaged
from redurable.store.redis.keys import PartitionKeys, owner
from redurable.store.redis.lane import Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.listing import SPAN
from redurable.store.redis.tracking import Tracking

OVERDUE_MS: Final = 60_000
"""A parked instance whose wake-up is so late has lost its timer: its mail is announced."""

WALKS: Final = 60
"""One of so many walks reads the list of who waits, and asks about all, also for what is rare and no foreign client
writes: start messages that lost their bell. In a small partition every walk looks for those. The partitions do it at
different times, evenly spread."""

_FIRST = "0"
_NEVER = -1
_SLACK_S: Final = 1
"""The server's clock may be set back so far, and nobody new is missed."""
_GLANCE = 1000
"""Instances per EXISTS."""
_CLOSER = 50
"""Instances per script, and per EXISTS before it, where some of a glance have mail."""


@dataclass
class Waiting:
    """What is known of a partition while the server remembers what it was asked: who waits, and who of them may have
    mail, because there was some or because of what `changed` since. Who has finished stays a member until all are read
    again. Who came `since` (ms of the server's clock) may not be one yet."""

    epoch: int = _NEVER
    walks: int = 0
    since: int = 0
    members: set[bytes] = field(default_factory=set[bytes])
    mail: set[bytes] = field(default_factory=set[bytes])
    changed: set[bytes] = field(default_factory=set[bytes])


class Sweep:
    """What this process remembers of the partitions that it walks through."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._tracking = Tracking(lane)
        self._partitions: defaultdict[bytes, Waiting] = defaultdict(Waiting)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._tracking.close()

    async def walk(self, layout: Layout, partition: int, cursor: str, count: int) -> tuple[str, int]:
        """Announce waiting instances with mail whose bell nobody heard: about `count` instances behind `cursor`.

        Return the next cursor ("" at the end) and how many were announced.
        """
        keys = layout.partition(partition)
        waiting = self._partitions[owner(keys.open.encode())]
        if not cursor:
            waiting.walks += 1
            size: int = await self._tracking.call("SCARD", keys.open)
            self._sort()
            if size <= count:
                due = (waiting.walks + partition * WALKS // layout.partitions) % WALKS == 0
                return "", await self._whole(keys, waiting, size, due)
            waiting.epoch, waiting.members = _NEVER, set()
        reply: list[Any] = await self._lane.call("SSCAN", keys.open, cursor or _FIRST, "COUNT", count)
        following = reply[0].decode()
        announced, _ = await self._ask(
            self._lane, keys, reply[1], waiting.walks % WALKS == 1 or len(reply[1]) <= _GLANCE
        )
        return "" if following == _FIRST else following, announced

    def _sort(self) -> None:
        """Hand on what has changed to the partitions that it belongs to."""
        for key in self._tracking.changed:
            self._partitions[owner(key)].changed.add(key)
        self._tracking.changed.clear()

    async def _whole(self, keys: PartitionKeys, waiting: Waiting, size: int, due: bool) -> int:
        """Ask about all that wait, if that is `due`, or about those that are new or may have got mail since the last
        walk."""
        epoch, changed, new = self._tracking.epoch, waiting.changed, set[bytes]()
        everyone = due or waiting.epoch != epoch
        waiting.epoch, waiting.changed = _NEVER, set()  # a walk that fails is made again, from the beginning
        if everyone or keys.open.encode() in changed:
            new = await self._read_members(keys, waiting, 0 if everyone or size <= _GLANCE else size)
        asked = waiting.members
        if not everyone:
            boxes = keys.mailbox("").encode()
            asked = new | (asked & waiting.mail.union(key.removeprefix(boxes) for key in changed))
        starts = everyone or len(waiting.members) <= _GLANCE
        announced, waiting.mail = await self._ask(self._tracking, keys, list(asked), starts)
        waiting.epoch = epoch
        return announced

    async def _read_members(self, keys: PartitionKeys, waiting: Waiting, most: int) -> set[bytes]:
        """Read who waits now: those of before and who is new, or all, where more than `most` may be new. Return the
        new ones."""
        seconds, _ = await self._lane.call("TIME")
        since, waiting.since = waiting.since, (int(seconds) - _SLACK_S) * 1000
        news = await self._news(keys, since, most) if most else None
        if news is None:
            before, waiting.members = waiting.members, set(await self._tracking.call("SMEMBERS", keys.open))
            return waiting.members - before
        news -= waiting.members
        waiting.members |= news
        return news

    async def _news(self, keys: PartitionKeys, since: int, most: int) -> set[bytes] | None:
        """Who was created or took a turn since then; None: the indexes cannot tell, or tell of more than `most`."""
        news = set[bytes]()
        for key, until in ((keys.updated, "+inf"), (keys.ix, str(SPAN))):  # in `ix`, these are Pending
            try:
                news.update(await self._lane.call("ZRANGEBYSCORE", key, since, until, "LIMIT", 0, most))
            except StoreDamaged:
                return None
        return news if len(news) < most else None

    async def _ask(
        self, asks: Lane | Tracking, keys: PartitionKeys, names: Sequence[bytes], starts: bool
    ) -> tuple[int, set[bytes]]:
        """Announce those that have mail and no bell; return how many they were, and who may have mail at all."""
        boxes, slots = keys.mailbox("").encode(), keys.start("").encode()
        announced, mail = 0, set[bytes]()
        for group in _slices(names, _GLANCE):
            found = await asks.call("EXISTS", *[boxes + name for name in group])
            if starts and not found:
                found = await self._lane.call("EXISTS", *[slots + name for name in group])
            for few in _slices(group, _CLOSER) if found else ():
                both = [base + name for base in (boxes, slots) for name in few]
                if len(group) <= _CLOSER or await self._lane.call("EXISTS", *both):
                    mail.update(few)
                    announced += await announce(self._lane, keys, list(_texts(few)))
        return announced, mail


async def announce(lane: Lane, keys: PartitionKeys, names: Sequence[str]) -> int:
    """Ring for those of these instances that have mail and no bell; return how many they were."""
    own = [key for name in names for key in (keys.instance(name), keys.start(name), keys.mailbox(name))]
    return await lane.script("sweep", [keys.ready, *own], [OVERDUE_MS, *names]) if names else 0


def _slices(names: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (names[first : first + size] for first in range(0, len(names), size))


def _texts(names: Sequence[bytes]) -> Iterator[str]:
    """What no instance can be called, a foreign client has put there."""
    for name in names:
        with contextlib.suppress(UnicodeDecodeError):
            yield name.decode()
