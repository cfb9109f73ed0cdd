"""The read side of a store: what is known of instances, their histories and the feed of what ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Raw, Struct

from redurable.core.delivery import Quarantine
from redurable.core.events import Event
from redurable.core.messages import StartExecution
from redurable.core.values import ABSENT, Parent, RuntimeStatus, Task
from redurable.store.depths import Depths
from redurable.store.letters import Letter
from redurable.store.membership import Membership


class Underway(Struct, frozen=True):
    """What a store has of a call without outcome: its task, which waits to come back into its queue at `due` (0: it is
    there), or is held by the consumer `holder`."""

    task: Task
    due: int = 0
    holder: str = ""


class Snapshot(Struct, frozen=True, kw_only=True):
    """What is known of an instance at a moment. `unread` counts messages that no turn has read; `unread_events` is
    what the last turn told of external events (`TurnCommit.unread`). A quarantined one was parked `parks` times in a
    row, and is tried again at `parked_until` (milliseconds; 0: now), or, when `held`, only after it is redriven."""

    instance: str
    name: str
    status: RuntimeStatus
    execution: str
    number: int
    created_at: int
    updated_at: int
    parent: Parent | None = None
    tags: dict[str, str] = {}
    memo: Raw = ABSENT
    start: StartExecution | None = None
    first: Event | None = None
    last: Event | None = None
    length: int = 0
    custom_status: Raw | None = None
    unread: int = 0
    unread_events: dict[str, int] = {}
    quarantined: Quarantine | None = None
    parks: int = 0
    parked_until: int = 0
    held: bool = False


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
        """The workers whose last heartbeat is younger than that, and what they can do."""
        ...

    async def letters(self, after: str, count: int) -> list[Letter]:
        """Up to `count` dead letters behind that id ("": from the oldest on), the oldest first."""
        ...

    def mailbox_key(self, instance: str) -> str:
        """The name of the stream that is the instance's mailbox."""
        ...
