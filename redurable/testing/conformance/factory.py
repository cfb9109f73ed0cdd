"""What a conformance run needs of a store: a fresh hub, its clock, and what foreign clients may do to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from redurable.store.port import Hub


class StoreFactory(ABC):
    """One fresh hub with at least two partitions. The fixture `store_factory` hands it out and clears up afterwards."""

    @abstractmethod
    async def store(self, consumer: str) -> Hub:
        """An opened store of this hub; two calls with one name are two processes that take turns with that name."""

    @abstractmethod
    async def advance(self, ms: int) -> None:
        """Return when the hub's clock has moved on by `ms` or more: move it, or wait for it (`ms` is small then)."""

    @abstractmethod
    async def xadd_intake(self, fields: Mapping[bytes, bytes]) -> str:
        """A foreign client appends to the intake; returns the entry's id."""

    @abstractmethod
    async def xadd_mailbox(self, instance: str, fields: Mapping[bytes, bytes], entry_id: str = "*") -> str:
        """A foreign client appends to a mailbox and tells nobody; returns the entry's id."""

    @abstractmethod
    async def empty_mailbox(self, instance: str) -> None:
        """A foreign client deletes the messages of a mailbox one by one; a stream stays behind, empty."""

    @abstractmethod
    async def xadd_ready(self, partition: int, fields: Mapping[bytes, bytes]) -> str:
        """A foreign client appends to a ready stream; returns the entry's id."""

    @abstractmethod
    async def xadd_task(self, partition: int, queue: str, fields: Mapping[bytes, bytes]) -> str:
        """A foreign client appends to a task queue; returns the entry's id."""

    @abstractmethod
    async def xadd_answer(self, partition: int, fields: Mapping[bytes, bytes]) -> str:
        """A foreign worker appends to the answers of a partition; returns the entry's id."""

    @abstractmethod
    async def serve_queue(self, queue: str) -> None:
        """A foreign worker says that it serves a task queue."""

    @abstractmethod
    async def lose_ready(self, partition: int, entry_id: str) -> None:
        """A ready entry is gone, delivered or not, as after a failover."""

    @abstractmethod
    async def break_history(self, instance: str) -> None:
        """The newest event of an instance cannot be decoded any more."""

    @abstractmethod
    async def break_format(self) -> None:
        """The hub was made by a release that does not exist yet."""

    @abstractmethod
    async def dead_letters(self) -> list[dict[bytes, bytes]]:
        """The hub's dead letters, oldest first."""

    @abstractmethod
    async def mailbox_ttl_ms(self, instance: str) -> int | None:
        """How long a mailbox will be kept; None: for ever, or there is none."""


EXHAUSTED = "18446744073709551615-18446744073709551615"
"""The greatest id of a stream: nothing can be appended behind it. A store with other ids writes its greatest one."""
EVENT: Mapping[bytes, bytes] = {b"event": b"Foreign"}
"""The smallest entry that a foreign client may write to a mailbox."""
