"""The store's answer to what a worker holds may be older than what ended in the worker meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.facts import ActivityAttempted
from redurable.store.port import Reclaimed, TaskDemand
from tests.unit.worker.stage import FaultyStore, Stage, settings


class Code:
    """Activities that begin, and end when they may."""

    def __init__(self) -> None:
        self.app = App("stage")
        self.begun: list[str] = []
        self.may_end = asyncio.Event()

        @self.app.activity
        async def greet(name: str) -> str:
            self.begun.append(name)
            await self.may_end.wait()
            return f"Hello {name}!"

        @self.app.orchestrator
        async def sequence(ctx: OrchestrationContext, names: list[str]) -> list[str]:
            return [await ctx.call_activity(greet, name) for name in names]


class Overtaken(FaultyStore):
    """Its first answer that names a task is still on its way when that task ends and its completion is accepted."""

    def __init__(self, stage: Stage, code: Code) -> None:
        super().__init__(stage.hub, "w1")
        self.late = 0
        self._stage = stage
        self._code = code

    async def recover(self) -> Reclaimed:
        return await self._overtaken(await super().recover())

    async def reclaim(
        self, partitions: Sequence[int], entries: int, entry_lease_ms: int, demand: TaskDemand, task_lease_ms: int
    ) -> Reclaimed:
        return await self._overtaken(await super().reclaim(partitions, entries, entry_lease_ms, demand, task_lease_ms))

    async def _overtaken(self, held: Reclaimed) -> Reclaimed:
        if held.tasks and not self._code.may_end.is_set():
            self.late += 1
            self._code.may_end.set()
            await self._stage.until(lambda: bool(self._stage.told(ActivityAttempted)))
        return held


@pytest.mark.parametrize("how", ["recovered", "reclaimed"])
async def test_a_task_that_ended_while_the_answer_was_on_its_way_is_not_run_again(how: str) -> None:
    stage, code = Stage(), Code()
    store = Overtaken(stage, code)
    if how == "recovered":
        store.lose_next, changes = "renew", {"renew_every_ms": 20}
    else:
        changes = {"task_lease_ms": 1}
    await stage.start("sequence", ["a", "b"])
    async with stage.working(code.app, store=store, settings=settings(**changes)):
        assert await stage.result() == ["Hello a!", "Hello b!"]
    assert store.late == 1
    assert code.begun == ["a", "b"]
    assert [fact.outcome for fact in stage.told(ActivityAttempted)] == ["ok", "ok"]
