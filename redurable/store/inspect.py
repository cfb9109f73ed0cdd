"""The read side of a store: what is known of instances, their histories and the feed of what ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from redurable.core.events import Event
from redurable.core.values import RuntimeStatus, Task
from redurable.facts import StoreSampled
from redurable.store.depths import Depths
from redurable.store.letters import Letter
from redurable.store.membership import Membership
from redurable.store.queries import Counts, Found, Place, Query, Standing
from redurable.store.snapshots import Snapshot


class Underway(Struct, frozen=True):
    """What a store has of a call without outcome: its task, which waits to come back into its queue at `due` (0: it is
    there), or is held by the consumer `holder`."""

    task: Task
    due: int = 0
    holder: str = ""


class Announcement(Struct, frozen=True):
    """The ready entry that tells workers of an instance's mail. `holder`: the consumer who has received it ("": nobody
    yet), and last renewed its lease `idle_ms` ago; `deliveries`: how often it was received or taken over."""

    holder: str = ""
    idle_ms: int = 0
    deliveries: int = 0


class Change(Struct, frozen=True):
    """An entry of a partition's feed: an execution ended."""

    id: str
    instance: str
    execution: str
    status: RuntimeStatus


class Inspect(Protocol):
    """The read side."""

    async def get(self, instance: str) -> Snapshot | None:
        """The instance as it is now."""
        ...

    async def query(self, query: Query, limit: int, after: Place | None = None) -> Found:
        """A page of at most `limit` of the instances that are asked for, behind a place of an earlier page."""
        ...

    async def counts(self) -> Counts:
        """How many instances there are; costs the same however many that is."""
        ...

    async def children(self, instance: str) -> list[Standing]:
        """The sub-orchestrations that an instance has started, in all its executions, and that are not `disown`ed."""
        ...

    async def awaited(self, instances: Sequence[str]) -> list[str]:
        """Those of these instances that have not read yet what a parent that was rewound or reset has asked of them."""
        ...

    async def history(self, instance: str, execution: str = "", start: int = 0, count: int = 1000) -> list[Event]:
        """A page of the history of an execution (default: the current one)."""
        ...

    async def underway(self, instance: str, execution: str, calls: Sequence[tuple[int, str]]) -> list[Underway | None]:
        """Of each call, by its seq and the name of its task queue, what there is; None: nothing, or its task is not
        among the oldest `MOST_SEARCHED` of that queue."""
        ...

    async def executions(self, instance: str) -> list[str]:
        """The ids of all executions, oldest first."""
        ...

    async def feed_position(self, partition: int) -> str:
        """The id of the newest entry of the feed."""
        ...

    async def feed(self, after: dict[int, str], block_ms: int) -> list[tuple[int, Change]]:
        """Entries of these partitions' feeds after these ids, waiting up to `block_ms`."""
        ...

    async def depths(self, queues: Sequence[str] = ()) -> Depths:
        """How much work lies where: in these task queues, and in all that workers say they serve. The cost does not
        grow with the number of instances."""
        ...

    async def announcement(self, instance: str) -> Announcement | None:
        """Who is told of the instance's mail; None: nobody, or no such instance."""
        ...

    async def members(self, ttl_ms: int) -> Membership:
        """The workers that were heard of within `ttl_ms`, and what they can do; whoever asks does not become one."""
        ...

    async def letters(self, after: str, count: int) -> list[Letter]:
        """Up to `count` dead letters behind that id ("": from the oldest on), the oldest first."""
        ...

    def sample(self) -> StoreSampled:
        """What the connections of this store did since the last call; the first one begins to count, and before it
        nothing is counted. A store without connections has nothing to say."""
        ...

    def mailbox_key(self, instance: str) -> str:
        """The name of the stream that is the instance's mailbox."""
        ...
