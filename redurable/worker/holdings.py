"""What this worker holds: the instances in a turn, the ready entries that wait for one, and the tasks it runs.

Invariant: an instance is in one turn of this process at most. A second ready entry of it (its commit announced it
again, and another lane was quicker than the commit's answer) waits until the first is done. What is listed here is
renewed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

from redurable.core.delivery import Entry
from redurable.store.port import TaskLease

TaskKey = tuple[int, str, str]


def task_key(lease: TaskLease) -> TaskKey:
    """The identity of a task's queue entry."""
    return lease.partition, lease.queue, lease.id


class Holdings:
    """Entries by instance, tasks by key."""

    def __init__(self) -> None:
        self.tasks: dict[TaskKey, TaskLease] = {}
        self._turning: dict[str, Entry] = {}
        self._waiting: dict[str, list[Entry]] = {}
        self._later: dict[int, list[Entry]] = {}
        self._noted: set[TaskKey] | None = None

    def let_go(self, key: TaskKey) -> None:
        """This task is not held any more: its completion was accepted, or somebody else has it."""
        self.tasks.pop(key, None)
        if self._noted is not None:
            self._noted.add(key)

    @contextmanager
    def noting(self) -> Generator[set[TaskKey]]:
        """The keys of the tasks that are let go of inside the block. Around a question to the store about what is held:
        the answer may be older than an end that came meanwhile, and nothing must run twice. One at a time."""
        noted = self._noted = set()
        try:
            yield noted
        finally:
            self._noted = None

    def claim(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those entries whose instance is free now; it is not free any more. The others wait; repetitions vanish."""
        claimed: list[Entry] = []
        for entry in entries:
            current = self._turning.get(entry.instance)
            if current is None:
                self._turning[entry.instance] = entry
                claimed.append(entry)
            elif current.id != entry.id:
                queue = self._waiting.setdefault(entry.instance, [])
                if all(entry.id != other.id for other in queue):
                    queue.append(entry)
        return claimed

    @contextmanager
    def put_off(self, claimed: list[Entry]) -> Generator[None]:
        """Inside the block this list is what comes later: whoever begins a turn takes it out, and `forget` takes out
        what is lost. Whatever is left in the end is released."""
        self._later[id(claimed)] = claimed
        try:
            yield
        finally:
            del self._later[id(claimed)]
            self.release(claimed)

    def busy(self, instance: str) -> bool:
        """True while the instance is in a turn here."""
        return instance in self._turning

    def release(self, entries: Iterable[Entry]) -> list[Entry]:
        """These turns are over; return the entries that waited for them, one per instance, not yet claimed."""
        freed: list[Entry] = []
        for entry in entries:
            self._turning.pop(entry.instance, None)
            queue = self._waiting.get(entry.instance)
            if queue:
                freed.append(queue.pop(0))
                if not queue:
                    del self._waiting[entry.instance]
        return freed

    def entries(self) -> list[Entry]:
        """All ready entries held, in turns and waiting. Turns decided ahead hold none."""
        waiting = (entry for queue in self._waiting.values() for entry in queue)
        return [*(entry for entry in self._turning.values() if entry.id), *waiting]

    def begun(self) -> list[Entry]:
        """Those whose turn has begun, and what waits for it."""
        later = {entry.instance for entries in self._later.values() for entry in entries}
        return [entry for entry in self.entries() if entry.instance not in later]

    def forget(self, lost: Sequence[Entry]) -> None:
        """These entries are somebody else's now: do not begin their turns. A turn under way is left to the fence."""
        # The ids of two partitions may be the same.
        gone = {(entry.instance, entry.id) for entry in lost}
        for instance in {entry.instance for entry in lost} & self._waiting.keys():
            queue = self._waiting[instance]
            queue[:] = [entry for entry in queue if (instance, entry.id) not in gone]
            if not queue:
                del self._waiting[instance]
        for later in self._later.values():
            lapsed = [entry for entry in later if (entry.instance, entry.id) in gone]
            if lapsed:
                later[:] = [entry for entry in later if (entry.instance, entry.id) not in gone]
                later += self.claim(self.release(lapsed))

    @property
    def idle(self) -> bool:
        """True while no instance is in a turn or waits for one."""
        return not self._turning
