"""What keeps a hub healthy: workers that come and go, instances that are not needed any more."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from redurable.store.membership import Membership, Skills
from redurable.store.purging import Purged
from redurable.store.redis.lane import Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.listing import MOST_PAST, belongings, zsets_of
from redurable.store.redriving import Redriven

_json = msgspec.json.Encoder()
_skills = msgspec.json.Decoder(Skills)
_MOST_STREAMS = 100
_PURGED: Final[dict[bytes, Purged]] = {
    b"purged": "purged",
    b"missing": "missing",
    b"running": "running",
    b"awaited": "awaited",
}


async def heartbeat(lane: Lane, layout: Layout, consumer: str, ttl_ms: int, skills: Skills) -> Membership:
    """Say that `consumer` lives, and what it can do; return who does. The skills of others are read once."""
    keys = [layout.hub.workers, layout.hub.skills]
    now, fresh = await lane.script("heartbeat", keys, [consumer, ttl_ms, _json.encode(skills)])
    alive = sorted(_texts(fresh))
    known = layout.skills | {consumer: skills}
    unknown = [name for name in alive if name not in known]
    if unknown:
        told = await lane.call("HMGET", layout.hub.skills, *unknown)
        known |= {name: read for name, body in zip(unknown, told, strict=True) if (read := _read_skills(body))}
    layout.skills = {name: known[name] for name in alive if name in known}
    return Membership(int(now), layout.skills)


async def members(lane: Lane, layout: Layout, consumer: str, ttl_ms: int) -> Membership:
    """The workers that were heard of within `ttl_ms`; whoever asks does not become one."""
    now, fresh, told = await lane.script("workers", [layout.hub.workers, layout.hub.skills], [ttl_ms])
    can = {name: skills for name, body in zip(fresh, told, strict=True) if (skills := _read_skills(body))}
    return Membership(int(now), {name: can[name.encode()] for name in sorted(_texts(list(can)))})


def _read_skills(body: bytes | None) -> Skills | None:
    """None of a member that some other program made."""
    try:
        return _skills.decode(body or b"")
    except (msgspec.DecodeError, RecursionError):
        return None


async def leave(lane: Lane, layout: Layout, consumer: str) -> None:
    """Take `consumer` out of the membership, and out of the groups in which it holds nothing."""
    await lane.call("ZREM", layout.hub.workers, consumer)
    await lane.call("HDEL", layout.hub.skills, consumer)
    await lane.call("DEL", layout.hub.handed(consumer))
    await _dismiss(lane, layout, [0, consumer])


async def reap(lane: Lane, layout: Layout, consumer: str, idle_ms: int) -> int:
    """Remove consumers that were not seen for `idle_ms` from the groups in which they hold nothing; return how many.

    Groups of task queues that this process never read from are left to workers that do.
    """
    alive = await lane.script("forget", [layout.hub.workers, layout.hub.skills], [idle_ms])
    return len(await _dismiss(lane, layout, [idle_ms, "", consumer, *alive]))


async def _dismiss(lane: Lane, layout: Layout, args: Sequence[Any]) -> set[bytes]:
    partitions = [layout.partition(number) for number in range(layout.partitions)]
    streams = [keys.ready for keys in partitions]
    streams += [keys.queue(name) for keys in partitions for name in sorted(layout.queues)]
    gone: set[bytes] = set()
    for first in range(0, len(streams), _MOST_STREAMS):
        gone |= set(await lane.script("dismiss", streams[first : first + _MOST_STREAMS], args))
    return gone


async def purge(lane: Lane, layout: Layout, consumer: str, instance: str, execution: str = "") -> Purged:
    """Delete all that is stored of a finished instance: what it has is read, and deleted if that is still so;
    many past histories in steps."""
    keys = layout.of(instance)
    own = [keys.instance(instance), keys.executions(instance), keys.mailbox(instance), keys.start(instance)]
    own += [keys.history(instance), keys.custom_status(instance), keys.quarantine(instance)]
    names = [keys.open, keys.ix, keys.ended, keys.parked, *own]
    while True:
        has = await belongings(lane, keys, instance)
        if has is None:
            more, args = list[str](), (instance, "", len(own), 0, 0, 0)
        elif execution not in ("", has.execution.decode(errors="replace")):
            return "missing"
        else:
            zsets, kids = zsets_of(keys, has), [keys.kids(has.parent)] if has.parent else []
            more = [*zsets, *kids, *(keys.past(instance, past.decode(errors="replace")) for past in has.past)]
            args = (instance, has.execution, len(own), len(zsets), len(kids), has.executions)
        answer = _PURGED.get(await lane.script("purge", names + more, args))
        if answer is not None:
            return answer


async def prune(lane: Lane, layout: Layout, consumer: str, instance: str, keep: int) -> int:
    """Forget all past executions of an instance but the first and the last `keep`; return how many."""
    keys, pruned = layout.of(instance), 0
    while True:
        above: int = await lane.call("LLEN", keys.executions(instance)) - 1 - keep
        if above <= 0:
            return pruned
        old: list[bytes] = await lane.call("LRANGE", keys.executions(instance), 1, min(above, MOST_PAST))
        histories = [keys.past(instance, execution.decode()) for execution in old]
        if not old or not await lane.script("prune", [keys.executions(instance), *histories], [keep, *old]):
            return pruned  # Somebody else is at it.
        pruned += len(old)


async def redrive(lane: Lane, layout: Layout, consumer: str, instance: str, head: str) -> Redriven:
    """Let a quarantined instance be tried at once."""
    keys = layout.of(instance)
    names = [keys.ready, keys.instance(instance), keys.start(instance), keys.mailbox(instance)]
    answer: bytes = await lane.script("redrive", names, [instance, head])
    return Redriven(answer.decode())


def _texts(raw: Sequence[bytes]) -> list[str]:
    """Those that are text."""
    texts: list[str] = []
    for item in raw:
        with contextlib.suppress(UnicodeDecodeError):
            texts.append(item.decode())
    return texts
