"""Which instances go together: an instance and its sub-orchestrations, theirs, and so on.

They lie in different partitions, so no step deletes them all. Children go before their parents: whoever dies half-way
leaves a family without some of its youngest, and whoever comes next finds the rest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from redurable.store.port import Purged
from redurable.store.queries import Standing


class Families(Protocol):
    """The verbs that it takes; see `Store` and `Inspect`."""

    async def children(self, instance: str) -> list[Standing]: ...
    async def disown(self, instance: str, parent: str) -> None: ...
    async def purge(self, instance: str, execution: str = "") -> Purged: ...


async def family(store: Families, eldest: Standing) -> AsyncIterator[Standing]:
    """An instance and all that go with it, children before their parents; `eldest` comes last. Children that have not
    finished are disowned: they go on, and stay when their parent goes."""
    waiting: list[tuple[Standing, bool]] = [(eldest, False)]
    while waiting:
        member, explored = waiting.pop()
        if explored:
            yield member
            continue
        waiting.append((member, True))
        for child in await store.children(member.instance):
            if child.status.finished:
                waiting.append((child, False))
            else:
                await store.disown(child.instance, member.instance)


async def purge_family(store: Families, eldest: Standing) -> list[Standing]:
    """Delete a finished instance and what goes with it; return those that this call deleted."""
    return [
        member
        async for member in family(store, eldest)
        if await store.purge(member.instance, member.execution) == "purged"
    ]
