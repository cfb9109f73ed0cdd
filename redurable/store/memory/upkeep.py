"""What keeps a hub healthy: bells that were lost, workers that come and go, instances that are not needed any more."""

from __future__ import annotations

from collections.abc import Mapping

from redurable.core.values import RuntimeStatus
from redurable.store.membership import Membership, Skills
from redurable.store.memory.state import MemoryHub, Partition
from redurable.store.memory.streams import PeekLock
from redurable.store.purging import Purged
from redurable.store.queries import Standing
from redurable.store.redriving import Redriven


def sweep(hub: MemoryHub, number: int, cursor: str, count: int) -> tuple[str, int]:
    """Ring for instances with mail whose bell nobody heard: up to `count` instances behind `cursor`."""
    partition = hub.partitions[number]
    waiting = sorted(instance for instance in partition.open if instance > cursor)
    announced = sum(_ring(partition, instance) for instance in waiting[:count])
    return waiting[count - 1] if len(waiting) > count else "", announced


def _ring(partition: Partition, instance: str) -> bool:
    """Ring for an instance if it has mail that nobody was told of; return whether it had."""
    record = partition.instances[instance]
    silent = not record.announced or not partition.ready.is_live(record.announced)
    if silent and record.parked_until is None and partition.has_mail(instance):
        record.announced = ""
        partition.announce(instance)
        return True
    return False


def heartbeat(hub: MemoryHub, consumer: str, ttl_ms: int, skills: Skills) -> Membership:
    """Say that `consumer` lives, and what it can do."""
    hub.workers[consumer] = hub.clock(), skills
    return members(hub, ttl_ms)


def members(hub: MemoryHub, ttl_ms: int) -> Membership:
    """The workers that were heard of within `ttl_ms`."""
    now = hub.clock()
    return Membership(now, {name: can for name, (seen, can) in sorted(hub.workers.items()) if now - seen < ttl_ms})


def leave(hub: MemoryHub, consumer: str) -> None:
    """Take `consumer` out of the membership, and out of the groups in which it holds nothing."""
    hub.workers.pop(consumer, None)
    hub.handed.pop(consumer, None)
    for group in _groups(hub):
        if group.holds_nothing(consumer):
            group.consumers.pop(consumer, None)


def reap(hub: MemoryHub, idle_ms: int) -> int:
    """Remove consumers that were not seen for `idle_ms`, from every group in which they hold nothing."""
    now = hub.clock()
    silent = {name for name, (seen, _) in hub.workers.items() if now - seen >= idle_ms}
    for name in silent:
        del hub.workers[name]
        hub.handed.pop(name, None)
    removed: set[str] = set()
    for group in _groups(hub):
        for consumer, seen in list(group.consumers.items()):
            if consumer not in hub.workers and now - seen >= idle_ms and group.holds_nothing(consumer):
                del group.consumers[consumer]
                removed.add(consumer)
    return len(removed)


def purge(hub: MemoryHub, instance: str, execution: str) -> Purged:
    """Delete a finished instance."""
    partition = hub.of(instance)
    record = partition.instances.get(instance)
    if record is None or execution not in ("", record.execution):
        return "missing"
    if not record.status.finished:
        return "running"
    if not partition.is_over(instance):
        return "awaited"
    partition.erase(instance)
    return "purged"


def expired(hub: MemoryHub, number: int, ages: Mapping[RuntimeStatus, int], count: int, skip: int) -> list[Standing]:
    """Instances that ended too long ago, those of a status oldest first."""
    partition, now = hub.partitions[number], hub.clock()
    found: list[Standing] = []
    for status, age in ages.items():
        over = sorted(
            (record.ended, name)
            for name, record in partition.instances.items()
            if record.status is status and not record.parent and record.ended <= now - age
        )
        found += [Standing(name, partition.instances[name].execution, status) for _, name in over]
    return found[skip : skip + count]


def disown(hub: MemoryHub, instance: str, parent: str) -> None:
    """A sub-orchestration is on its own."""
    record = hub.of(instance).instances.get(instance)
    if record is not None and record.parent == parent:
        record.parent = ""


def mend(hub: MemoryHub, number: int) -> int:
    """Disown those whose parents are gone, and ring for finished ones that a parent has asked; there is nothing else
    that could be wrong."""
    partition = hub.partitions[number]
    records = partition.instances.values()
    alone = [record for record in records if record.parent and record.parent not in hub.of(record.parent).instances]
    for record in alone:
        record.parent = ""
    finished = [name for name, record in partition.instances.items() if record.status.finished]
    return len(alone) + sum(_ring(partition, name) for name in finished)


def prune(hub: MemoryHub, instance: str, keep: int) -> int:
    """Forget all past executions but the first and the last `keep`."""
    partition = hub.of(instance)
    past = partition.executions.get(instance, [])
    old = past[1 : max(len(past) - keep, 1)]
    for execution in old:
        partition.past.pop((instance, execution), None)
    del past[1 : 1 + len(old)]
    return len(old)


def redrive(hub: MemoryHub, instance: str, head: str) -> Redriven:
    """End the wait of a parked instance, whoever takes a turn of it at this moment."""
    partition = hub.of(instance)
    record = partition.instances.get(instance)
    if record is None:
        return Redriven.MISSING
    if record.status.finished:
        return Redriven.FINISHED
    if instance not in partition.quarantines:
        return Redriven.NOT_QUARANTINED
    record.head = head
    record.parked_until, record.parks, record.held = None, 1, False
    partition.announce_mail(instance)
    return Redriven.REDRIVEN


def _groups(hub: MemoryHub) -> list[PeekLock]:
    return [group for partition in hub.partitions for group in (partition.ready, *partition.queues.values())]
