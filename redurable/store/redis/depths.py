"""How much work lies where in a hub. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from redurable.store.depths import MOST_QUEUES, SEEN_MS, Depth, Depths
from redurable.store.membership import Skills
from redurable.store.redis import answers
from redurable.store.redis.lane import Lane
from redurable.store.redis.layout import Layout

_MOST_STREAMS = 100
"""So many streams are looked at in one step of the server, about a millisecond of its time."""

_skills = msgspec.json.Decoder(Skills)


async def depths(lane: Lane, layout: Layout, consumer: str, queues: Sequence[str]) -> Depths:
    """How much work lies where: in these task queues, and in all that workers say they serve."""
    partitions = [layout.partition(number) for number in range(layout.partitions)]
    names = await _queues(lane, layout, queues)
    kinds = [[keys.ready for keys in partitions], *([keys.queue(name) for keys in partitions] for name in names)]
    rows: list[Depth] = []
    some = max(1, _MOST_STREAMS // layout.partitions)
    now = 0
    for first in range(0, len(kinds), some):
        streams = [stream for kind in kinds[first : first + some] for stream in kind]
        time, *measured = await lane.script("depths", streams, [layout.partitions, SEEN_MS])
        now = int(time)
        rows += (_depth(now, row) for row in measured)
    counted = [layout.hub.intake, layout.hub.dead]
    counted += (key for keys in partitions for key in (keys.outbox, keys.answers, keys.timers, keys.open))
    intake, dead, outbox, answered, timers, due, running = await lane.script("backlog", counted, [])
    return Depths(
        now=now,
        ready=rows[0],
        queues=dict(zip(names, rows[1:], strict=True)),
        intake=intake,
        outbox=outbox,
        answers=answered,
        dead=dead,
        timers=timers,
        due=due,
        open=running,
    )


def _depth(now: int, row: Sequence[int]) -> Depth:
    length, lag, pending, consumers, waiting, held = row
    return Depth(length, lag, pending, consumers, _age(now, waiting), _age(now, held))


def _age(now: int, since: int) -> int:
    """At least 1 for whatever there is, so that 0 says that there is nothing."""
    return max(1, now - since) if since else 0


async def _queues(lane: Lane, layout: Layout, asked: Iterable[str]) -> list[str]:
    """Those that were asked for, and of the others as many as there is room for."""
    told: set[str] = set()
    for body in await lane.call("HVALS", layout.hub.skills):
        told.update(_served(body))
    told.update(await answers.served(lane, layout, ""))
    return sorted(dict.fromkeys([*asked, *sorted(told)][:MOST_QUEUES]))


def _served(body: Any) -> Sequence[str]:
    """The task queues of one worker; none of what some other program wrote."""
    try:
        return _skills.decode(body).task_queues
    except (msgspec.DecodeError, RecursionError):
        return ()
