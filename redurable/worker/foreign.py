"""Looks after the tasks that foreign workers take: programs in any language that read task queues by plain commands.

Each worker that takes turns does it for the partitions that it prefers: it ends the attempts of which somebody has
written what became of them, and those of foreign workers that fell silent. Two that do it at once end none twice,
because an attempt ends by the acknowledgement of its task.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import anyio

from redurable.core.answers import AnswerKind
from redurable.facts import ActivityAttempted, DeadLettered, LeasesReclaimed, MessagesRelayed
from redurable.store.hearing import Heard
from redurable.store.port import TaskDemand, TaskLease
from redurable.worker.attempt_reports import report_attempts
from redurable.worker.common import Common
from redurable.worker.ends import Ended
from redurable.worker.holdings import task_key
from redurable.worker.role import keep_polling
from redurable.worker.spans import end_attempts
from redurable.worker.timers import Timers
from redurable.worker.verdicts import Verdict, answered, fell_silent

MOST = 100
"""Answers read, or leases taken over, in one step."""


class Foreign:
    """`own_queues` are those whose tasks this worker runs itself: leases there are looked after with its own."""

    name = "foreign"

    def __init__(self, common: Common, timers: Timers, own_queues: Collection[str]) -> None:
        self._common = common
        self._timers = timers
        self._own_queues = own_queues

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(keep_polling, self)
            group.start_soon(self._listen)

    async def poll(self) -> int:
        """Take over leases that ran out."""
        common = self._common
        if common.ownership.mine and common.reception.open:
            queues = tuple(queue for queue in await common.store.served() if queue not in self._own_queues)
            leases = await self._reclaim(TaskDemand(queues, MOST)) if queues else ()
            await self._end([fell_silent(lease, common.clock.now()) for lease in leases])
        return common.settings.reclaim_every_ms

    async def _reclaim(self, demand: TaskDemand) -> Sequence[TaskLease]:
        common, settings = self._common, self._common.settings
        reclaimed = await common.store.reclaim(
            common.ownership.mine, 0, settings.instance_lease_ms, demand, settings.task_lease_ms
        )
        for lease in reclaimed.tasks:
            common.holdings.tasks[task_key(lease)] = lease  # what is held is renewed, and is no orphan after an outage
        if reclaimed.tasks and common.facts.listening:
            common.facts.announce(LeasesReclaimed("task", len(reclaimed.tasks)))
        return reclaimed.tasks

    async def _listen(self) -> None:
        reception, ownership = self._common.reception, self._common.ownership
        while reception.open:
            heard = Heard()
            with reception.reading():
                if ownership.mine:
                    heard = await self._common.store.hear(ownership.mine, MOST, self._common.settings.poll_block_ms)
                else:
                    await ownership.change()
            await self._act(heard)

    async def _act(self, heard: Heard) -> None:
        common = self._common
        now, verdicts = common.clock.now(), list[Verdict]()
        for item in heard.answers:
            if item.lease is not None:
                verdicts.append(answered(item.lease, item.answer, now))
            elif item.answer.kind in (AnswerKind.COMPLETE, AnswerKind.FAIL) and common.facts.listening:
                common.facts.announce(ActivityAttempted("", "lost", 0.0, retried=False))
        await self._end(verdicts)
        if heard.answers:
            await common.store.forget(heard.answers)
        if common.facts.listening:
            if heard.answers or heard.heartbeats:
                common.facts.announce(MessagesRelayed("answers", len(heard.answers) + heard.heartbeats))
            if heard.dead:
                common.facts.announce(DeadLettered("answers", heard.dead))

    async def _end(self, verdicts: Sequence[Verdict]) -> None:
        if not verdicts:
            return
        ends = [end for end, _ in verdicts]
        completed = await self._common.store.complete(ends, [None] * len(ends), 0, ())
        for end in ends:
            self._common.holdings.let_go(task_key(end.lease))
        self._timers.add(completed.timers)
        if self._common.facts.listening:
            ended = [Ended(end, outcome, 0.0) for end, outcome in verdicts]
            report_attempts(self._common.facts, ended, completed.accepted)
            end_attempts(self._common.facts, ended, completed.accepted, self._common.clock.now())
