"""Questions about many instances. This store keeps no indexes: it looks at all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice, repeat

from redurable.store.memory.inspect import get
from redurable.store.memory.state import MemoryHub
from redurable.store.queries import Counts, Found, Place, Query, Standing


def query(hub: MemoryHub, asked: Query, limit: int, after: Place | None) -> Found:
    """A page, the newest first."""
    places = [
        Place(record.created, instance)
        for partition in hub.partitions
        for instance, record in partition.instances.items()
        if after is None or Place(record.created, instance) < after
    ]
    snapshots = map(get, repeat(hub), (place.instance for place in sorted(places, reverse=True)))
    page = list(islice((found for found in snapshots if found is not None and asked.admits(found)), limit + 1))
    if len(page) <= limit:
        return Found(tuple(page))
    return Found(tuple(page[:limit]), Place(page[limit - 1].created_at, page[limit - 1].instance))


def counts(hub: MemoryHub) -> Counts:
    """How many there are."""
    everything = Counter((record.name, record.status) for part in hub.partitions for record in part.instances.values())
    return Counts(dict(everything), sum(len(partition.quarantines) for partition in hub.partitions))


def children(hub: MemoryHub, parent: str) -> list[Standing]:
    """The sub-orchestrations of an instance, by their ids."""
    return sorted(
        (
            Standing(instance, record.execution, record.status)
            for partition in hub.partitions
            for instance, record in partition.instances.items()
            if record.parent == parent
        ),
        key=lambda child: child.instance,
    )


def awaited(hub: MemoryHub, instances: Sequence[str]) -> list[str]:
    """Those that are asked to go on, and have not read that yet."""
    partitions = [(name, hub.of(name)) for name in instances]
    return [name for name, partition in partitions if name in partition.instances and partition.is_awaited(name)]
