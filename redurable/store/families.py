"""Which instances go together: an instance and its sub-orchestrations, theirs, and so on.

They lie in different partitions, so no step deletes them all. Children go before their parents: whoever dies half-way
leaves a family without some of its youngest, and whoever comes next finds the rest. As long as a rewound parent waits
for one of them, none goes: the others' results would be asked for again, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from redurable.store.purging import Purged
from redurable.store.queries import Standing


class Families(Protocol):
    """The verbs that it takes; see `Store` and `Inspect`."""

    async def children(self, instance: str) -> list[Standing]: ...
    async def awaited(self, instances: Sequence[str]) -> list[str]: ...
    async def disown(self, instance: str, parent: str) -> None: ...
    async def purge(self, instance: str, execution: str = "") -> Purged: ...


class Gone(Struct, frozen=True):
    """What was deleted of a family, and what became of its eldest; `awaited` is the one that none goes without."""

    members: tuple[Standing, ...]
    eldest: Purged
    awaited: str = ""


class Family(Struct, frozen=True):
    """An instance and all that go with it, children before their parents, and the eldest last. `leaving`: children that
    have not finished, with their parents. `awaited`: one for which a parent waits; then all of them have to stay."""

    members: tuple[Standing, ...]
    leaving: tuple[tuple[str, str], ...]
    awaited: str = ""

    @property
    def eldest(self) -> str:
        return self.members[-1].instance


async def family(store: Families, eldest: Standing) -> Family:
    """Who goes with an instance. Changes nothing."""
    members, leaving = await _walk(store, eldest)
    awaited = await store.awaited([member.instance for member in members]) if len(members) > 1 else []
    return Family(tuple(members), tuple(leaving), awaited[0] if awaited else "")


async def _walk(store: Families, eldest: Standing) -> tuple[list[Standing], list[tuple[str, str]]]:
    """The members, and those that leave the family, with their parents."""
    members, leaving = list[Standing](), list[tuple[str, str]]()
    waiting, seen = [(eldest, False)], {eldest.instance}
    while waiting:
        member, explored = waiting.pop()
        if explored:
            members.append(member)
            continue
        waiting.append((member, True))
        for child in await store.children(member.instance):
            if not child.status.finished:
                leaving.append((child.instance, member.instance))
            elif child.instance not in seen:  # Whose id was given anew may be its own descendant.
                seen.add(child.instance)
                waiting.append((child, False))
    return members, leaving


async def purge_family(store: Families, eldest: Standing) -> Gone:
    """Delete a finished instance and what goes with it."""
    return await delete(store, await family(store, eldest))


async def delete(store: Families, these: Family) -> Gone:
    """Delete a family. Children that have not finished are disowned: they go on, and stay when their parent goes."""
    if these.awaited:
        return Gone((), "awaited", these.awaited)
    for child, parent in these.leaving:
        await store.disown(child, parent)
    gone: list[Standing] = []
    answer: Purged = "missing"
    for member in these.members:
        answer = await store.purge(member.instance, member.execution)
        if answer == "awaited":  # A parent asked in between: those above are left to the next time.
            return Gone(tuple(gone), answer, member.instance)
        if answer == "purged":
            gone.append(member)
    return Gone(tuple(gone), answer)
