"""Where a hub's data lies: its key names, and which partition an instance belongs to."""

from __future__ import annotations

from binascii import crc32

from redurable.core.ids import check_hub_name
from redurable.settings import MAX_PAYLOAD_BYTES
from redurable.store.membership import Skills
from redurable.store.redis.keys import HubKeys, PartitionKeys


class Layout:
    """The keys of a hub with a fixed number of partitions.

    `queues` are the task queues that this process has read from: `recover` looks for its own pending tasks there.
    `skills` are those of workers that were alive at the last heartbeat. `max_payload` bytes may have what is read of
    foreign clients.
    """

    __slots__ = ("_partitions", "hub", "max_payload", "name", "partitions", "queues", "skills")

    def __init__(self, hub: str, partitions: int, max_payload: int = MAX_PAYLOAD_BYTES) -> None:
        self.name = check_hub_name(hub)
        self.partitions = partitions
        self.max_payload = max_payload
        self.hub = HubKeys(hub)
        self.queues: set[str] = set()
        self.skills: dict[str, Skills] = {}
        self._partitions = tuple(PartitionKeys(hub, number) for number in range(partitions))

    def partition(self, number: int) -> PartitionKeys:
        """The keys of partition `number` (0 to `partitions` - 1)."""
        return self._partitions[number]

    def of(self, instance: str) -> PartitionKeys:
        """The keys of the partition that an instance lives in (as `core.ids.partition_of`, inlined: hot)."""
        return self._partitions[crc32(instance.encode()) % self.partitions]
