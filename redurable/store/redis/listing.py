"""Where an instance is listed beside its own keys: what queries, counts and the retention go by.

Parallel to `lua/_index.lua`: change both together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from redurable.core.codec import Unreadable, decode_event, decode_start
from redurable.core.events import ExecutionStarted
from redurable.core.values import RuntimeStatus
from redurable.store.redis.keys import PartitionKeys
from redurable.store.redis.lane import Lane

STATUSES: Final = (
    RuntimeStatus.PENDING,
    RuntimeStatus.RUNNING,
    RuntimeStatus.SUSPENDED,
    RuntimeStatus.COMPLETED,
    RuntimeStatus.FAILED,
    RuntimeStatus.CANCELED,
    RuntimeStatus.TERMINATED,
)
"""By their places in a score."""
SPAN: Final = 2**43
"""So many milliseconds of a score belong to a status."""


MOST_PAST: Final = 500
"""Past histories that are deleted in one step: the server does nothing else meanwhile."""


class Belongings(Struct, frozen=True):
    """What must be known of an instance to delete it; of its `executions` before the current one the oldest."""

    status: bytes
    execution: bytes
    name: str
    parent: str
    past: tuple[bytes, ...]
    executions: int
    tags: Mapping[str, str]


def base_of(status: RuntimeStatus) -> int:
    """The least score of a status."""
    return STATUSES.index(status) * SPAN


def index_keys(keys: PartitionKeys, name: str, parent: str, tags: Iterable[tuple[str, str]]) -> list[str]:
    """The indexes of a new instance, in the order of `listed` in `_index.lua`."""
    own = [keys.named(name), keys.kids(parent)] if parent else [keys.named(name)]
    return own + [keys.tag(key, value) for key, value in tags]


def zsets_of(keys: PartitionKeys, has: Belongings) -> list[str]:
    """The indexes that an instance is in, beside those in which every instance may be."""
    return [keys.named(has.name), keys.updated, *(keys.tag(key, value) for key, value in has.tags.items())]


async def belongings(lane: Lane, keys: PartitionKeys, instance: str) -> Belongings | None:
    """What an instance has; None: there is none."""
    own = [keys.instance(instance), keys.executions(instance), keys.start(instance), keys.history(instance)]
    reply: list[Any] | None = await lane.script("belongings", own, [MOST_PAST])
    if reply is None:
        return None
    status, execution, name, parent, past, executions, start, first = reply
    # What is no text, a foreign client has put there: then it is listed under a name that means nothing.
    texts = name.decode(errors="replace"), parent.decode(errors="replace")
    return Belongings(status, execution, *texts, tuple(past), executions, _tags(start, first))


def _tags(start: bytes, first: bytes) -> Mapping[str, str]:
    """Those of an instance whose first event cannot be read are not known: there its place in them remains, which
    queries pass over."""
    try:
        if first and isinstance(event := decode_event(first), ExecutionStarted):
            return event.tags
        return decode_start(start).tags if start else {}
    except Unreadable:
        return {}
