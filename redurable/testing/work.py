"""What there is to do in a hub at this moment, without any time passing: all of it lies in the hub, so nothing else has
to be asked.
"""

from __future__ import annotations

from collections.abc import Collection

from redurable.core.codec import decode_task
from redurable.core.values import Task
from redurable.store.memory.state import MemoryHub
from redurable.store.memory.tasks import BODY
from redurable.testing.clock import AttemptKey


def something_to_do(hub: MemoryHub, queues: Collection[str]) -> bool:
    """True while an instance is in a turn or waits for one, a message is on its way, or a task waits in one of these
    queues. Attempts that run are not counted."""
    for partition in hub.partitions:
        ready, waiting = partition.ready, (partition.queues[name] for name in queues if name in partition.queues)
        if ready.pending or ready.oldest_waiting() is not None or len(partition.outbox):
            return True
        if any(queue.oldest_waiting() is not None for queue in waiting):
            return True
    return len(hub.intake) > 0


def running_attempts(hub: MemoryHub) -> dict[AttemptKey, Task]:
    """The tasks that somebody has received and not ended."""
    found: dict[AttemptKey, Task] = {}
    for partition in hub.partitions:
        for queue in partition.queues.values():
            for entry_id in queue.pending:
                task = decode_task(queue.entries[entry_id][BODY])
                found[AttemptKey(task.idempotency_key, task.attempt)] = task
    return found
