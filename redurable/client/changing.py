"""What a client does to an instance itself, as a worker takes a turn of it: read, decide, and commit behind its head.

So it is done when the call returns, needs no worker, and excludes every turn that was decided before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import uuid4

from redurable.client.link import Link
from redurable.core.delivery import Delivery, Entry, Outcome, TurnCommit
from redurable.core.ids import partition_of
from redurable.errors import StoreDamaged, StoreUnavailable

NO_ENTRY: Final = "0"
"""The id of no ready entry: nobody rang for this turn."""
_ATTEMPTS: Final = 100


async def change(link: Link, instance: str, decide: Callable[[Delivery, str], TurnCommit]) -> None:
    """Commit what `decide(delivery, head)` says of an instance that exists; it is asked again when a worker was faster.
    Raises `InstanceNotFound`, and what `decide` raises."""
    await link.join()
    entry = Entry(partition_of(instance, link.store.partitions), NO_ENTRY, instance)
    head = uuid4().hex
    for _ in range(_ATTEMPTS):
        (delivery,) = await link.call(lambda: link.store.checkout([entry], [None]))
        if delivery.status is None:
            raise link.not_found(instance)
        if delivery.unreadable:
            raise StoreDamaged(f"instance {instance!r} cannot be read: {delivery.unreadable}")
        commit = decide(delivery, head)
        committed, repeated = await link.attempt(lambda commit=commit: link.store.commit([commit]))
        (receipt,) = committed.receipts
        if receipt.outcome is Outcome.FAILED:
            raise StoreDamaged(f"instance {instance!r} cannot be written: {receipt.detail}")
        # A repetition may find that a worker has gone on from what the first attempt wrote.
        if receipt.outcome is not Outcome.FENCED or (repeated and await _is_done(link, instance, head)):
            return
    raise StoreUnavailable(f"instance {instance!r} moved {_ATTEMPTS} times while it was to be changed: try again")


async def _is_done(link: Link, instance: str, head: str) -> bool:
    """Whether an execution that this head made is, or was, one of the instance's."""
    executions = await link.call(lambda: link.store.executions(instance))
    return any(execution.startswith(f"{head}.") for execution in executions)
