"""The workers of the hub that live, and what they can do: who takes the turns, and the tasks, that this one cannot.

Known by the heartbeat, so it may be out of date by a few seconds. Nothing is right because of it, only sooner.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from redurable.store.membership import Skills
from redurable.worker.ownership import owner, ranked

TURNS = "orchestrations"
"""The role of workers that take turns."""
TASKS = "activities"
SURVEY = "survey"
"""The slice of the hub that its surveyor owns."""


def takers_of_turns(workers: Mapping[str, Skills]) -> list[str]:
    """Those that own partitions. One that registers no orchestrator has nothing to do there, unless nobody has."""
    able = {name: skills for name, skills in workers.items() if TURNS in skills.roles}
    return [name for name, skills in able.items() if skills.orchestrators] or list(able)


class Crew:
    """`worker` is this one; `others` says whether any other takes turns."""

    def __init__(self, worker: str) -> None:
        self.others = False
        self._worker = worker
        self._workers: dict[str, Skills] = {}
        self._changed = anyio.Event()

    def update(self, workers: Mapping[str, Skills]) -> None:
        """What the last heartbeat said."""
        if workers == self._workers:
            return
        self._workers = dict(workers)
        self.others = any(TURNS in skills.roles for name, skills in workers.items() if name != self._worker)
        self._changed.set()
        self._changed = anyio.Event()

    @property
    def is_surveyor(self) -> bool:
        """Whether it is this worker, of all that can, that looks at the whole hub. All of them agree on who it is."""
        able = [name for name, skills in self._workers.items() if skills.surveys]
        return bool(able) and owner(SURVEY, able) == self._worker

    def by_role(self) -> tuple[tuple[str, int], ...]:
        """How many workers play each role."""
        return tuple((role, sum(role in skills.roles for skills in self._workers.values())) for role in (TURNS, TASKS))

    def orchestrators(self) -> set[str]:
        """The orchestrators that any of them registers."""
        return {name for skills in self._workers.values() for name in skills.orchestrators}

    def task_queues(self) -> set[str]:
        """The task queues that any of them serves."""
        return {name for skills in self._workers.values() for name in skills.task_queues}

    async def change(self) -> None:
        """Wait until somebody comes or goes."""
        await self._changed.wait()

    def takers(self, orchestrator: str, partition: int) -> list[str]:
        """The other workers that take turns of this orchestrator, in the order in which they prefer the partition."""
        able = [
            name
            for name, skills in self._workers.items()
            if name != self._worker and TURNS in skills.roles and orchestrator in skills.orchestrators
        ]
        return ranked(str(partition), able)

    def runs(self, activity: str, queue: str) -> bool:
        """Whether another worker runs this activity when it lies in that queue."""
        return any(
            TASKS in skills.roles and activity in skills.activities and queue in skills.task_queues
            for name, skills in self._workers.items()
            if name != self._worker
        )
