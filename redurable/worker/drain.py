"""How a worker stops: it takes on nothing new, finishes what it runs, hands back the rest, and leaves.

Every step is bounded, so a worker stops even when the store does not answer. Whatever is not handed back is taken over
by others when its lease runs out.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from redurable.store.port import TaskLease
from redurable.worker.activities import Activities
from redurable.worker.cancellations import Cancellations
from redurable.worker.common import Common, log
from redurable.worker.ends import Ends
from redurable.worker.holdings import task_key
from redurable.worker.membership import Membership
from redurable.worker.outbox import Outbox
from redurable.worker.turns import Pipeline

FLUSH_SECONDS = 5.0
"""How long the last writes may take."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a worker that have something to do first, or to finish; None where it does not have that role."""

    common: Common
    membership: Membership
    ends: Ends
    outbox: Outbox
    pipeline: Pipeline | None
    activities: Activities | None
    cancellations: Cancellations | None


async def drain(parts: Parts) -> None:
    """Close the reception, then finish in the order in which work flows."""
    common = parts.common
    common.reception.close()
    limit = anyio.current_time() + common.settings.drain_timeout_ms / 1000
    with anyio.move_on_at(limit):
        # First of all, so that others take over the partitions while this worker finishes.
        await parts.membership.leave()
        if parts.pipeline is not None:
            await parts.pipeline.idle()
    running: list[TaskLease] = []
    if parts.activities is not None:
        running = await parts.activities.finish(limit - anyio.current_time())
    if running:
        log.warning(
            "%d activities still run in threads: others begin them anew when their leases run out", len(running)
        )
    with anyio.move_on_after(FLUSH_SECONDS) as scope:
        await parts.ends.flushed()
        await parts.outbox.flushed()
        await _hand_back(parts, running)
        await parts.membership.leave()
    if scope.cancelled_caught:
        log.warning("the store did not answer while this worker stopped: others take over when its leases run out")


async def _hand_back(parts: Parts, running: list[TaskLease]) -> None:
    """All that the store says is held here, except what runs even now: functions in threads, and a turn without end."""
    common = parts.common
    held = await common.store.recover()
    ours = {task_key(lease) for lease in running}
    begun = {(entry.instance, entry.id) for entry in common.holdings.begun()}
    entries = [entry for entry in held.entries if (entry.instance, entry.id) not in begun]
    common.holdings.forget(entries)  # first, so that no lane begins what is given away
    tasks = [lease for lease in held.tasks if task_key(lease) not in ours]
    if parts.activities is not None:
        tasks = parts.activities.as_left(tasks)
    if entries or tasks:
        log.info("handing back %d instances and %d tasks", len(entries), len(tasks))
        await common.store.hand_back(entries, tasks)
