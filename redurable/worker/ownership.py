"""Which partitions this worker prefers. Affinity is soft: it keeps caches warm; leases and fences keep things right.

Rendezvous hashing: every worker computes the same owner for every slice from the list of workers alone, and when one
comes or goes only its own slices move. Workers without the role "orchestrations" own nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from hashlib import blake2b

import anyio

INTAKE = "intake"


def new_worker_id() -> str:
    """A fresh id, HOST-PID-RANDOM: the consumer name under which the store knows this worker."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"


def ranked(slice_name: str, workers: Iterable[str]) -> list[str]:
    """Workers in the order in which they come for a slice: by the hash of both names, the highest first."""
    return sorted(workers, key=lambda worker: _weight(slice_name, worker), reverse=True)


def owner(slice_name: str, workers: Iterable[str]) -> str:
    """The worker that owns a slice: the first of the ranked."""
    return max(workers, key=lambda worker: _weight(slice_name, worker))


def _weight(slice_name: str, worker: str) -> bytes:
    return blake2b(f"{worker} {slice_name}".encode(), digest_size=8).digest()


class Ownership:
    """What `worker`, this one, owns now: `mine`; `others` are the rest of the hub's partitions; `intake`: it routes
    that."""

    def __init__(self, worker: str, partitions: int) -> None:
        self.partitions = partitions
        self.mine: tuple[int, ...] = ()
        self.others: tuple[int, ...] = tuple(range(partitions))
        self.intake = False
        self.worker = worker
        self._workers: tuple[str, ...] = ()
        self._changed = anyio.Event()

    def assign(self, workers: Iterable[str]) -> bool:
        """Work out the share of this worker among those that take turns; return whether anything changed."""
        able = tuple(sorted(workers))
        if able == self._workers:
            return False
        self._workers = able
        owners = [owner(str(number), able) for number in range(self.partitions)] if able else []
        self._become(
            tuple(number for number, name in enumerate(owners) if name == self.worker),
            bool(able) and owner(INTAKE, able) == self.worker,
        )
        return True

    def give_up(self) -> None:
        """Own nothing any more."""
        self._workers = ()
        self._become((), False)

    async def change(self) -> None:
        """Wait until something changes."""
        await self._changed.wait()

    def _become(self, mine: tuple[int, ...], intake: bool) -> None:
        held = frozenset(mine)
        self.mine = mine
        self.others = tuple(number for number in range(self.partitions) if number not in held)
        self.intake = intake
        self._changed.set()
        self._changed = anyio.Event()
