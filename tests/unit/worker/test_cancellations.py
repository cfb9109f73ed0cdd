"""A running activity hears that nobody waits for it any more, and stops; one that waits is not begun."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import timedelta

import anyio
import pytest

from redurable.authoring.activity_context import ActivityContext
from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.core.delivery import Entry
from redurable.core.events import ActivityStarted
from redurable.core.messages import Cancel, Terminate
from redurable.core.rows import history_rows
from redurable.core.values import RuntimeStatus
from redurable.facts import ActivityAttempted
from redurable.store.port import CanceledCalls, Lost, TaskLease
from tests.unit.worker.stage import LONGEST, FaultyStore, Stage, settings

NEVER_RENEWED = settings(renew_every_ms=3_600_000)
"""The only renewal is the one at the very beginning, when nothing is held."""


class Work:
    """Activities that wait for ever, and what they saw."""

    def __init__(self) -> None:
        self.app = App("stage")
        self.begun = 0
        self.heard = asyncio.Event()
        self.cleaned_up = False
        self.flagged = threading.Event()
        self.loop = asyncio.get_running_loop()
        app = self.app

        @app.activity
        async def wait_for_ever() -> None:
            self.begun += 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                assert ActivityContext.current().cancelled
                self.heard.set()
                await asyncio.sleep(0)
                self.cleaned_up = True
                raise

        @app.activity
        def look_for_ever() -> str:
            self.begun += 1
            while not ActivityContext.current().cancelled:
                self.flagged.wait(0.005)
            self.loop.call_soon_threadsafe(self.heard.set)
            return "too late"

        assert (wait_for_ever.name, look_for_ever.name) == ("wait_for_ever", "look_for_ever")
        self._orchestrators(app)

    def _orchestrators(self, app: App) -> None:
        @app.orchestrator
        async def until_told(ctx: OrchestrationContext, activity: str) -> int:
            index, _ = await ctx.select(ctx.call_activity(activity), ctx.wait_for_external_event("Stop"))
            await ctx.wait_for_external_event("End")
            return index

        @app.orchestrator
        async def leave(ctx: OrchestrationContext, activity: str) -> str:
            if activity:
                ctx.call_activity(activity)
                await ctx.wait_for_external_event("Stop")
                ctx.continue_as_new("")
            return "next"

        @app.orchestrator
        async def compensate(ctx: OrchestrationContext, activity: str) -> None:
            try:
                await ctx.call_activity(activity)
            finally:
                await ctx.wait_for_external_event("Undone")

        assert (until_told.name, leave.name, compensate.name) == ("until_told", "leave", "compensate")

    async def has_begun(self, stage: Stage) -> None:
        await stage.until(lambda: self.begun == 1)

    async def has_heard(self) -> None:
        with anyio.fail_after(LONGEST):
            await self.heard.wait()


@pytest.mark.parametrize("activity", ["wait_for_ever", "look_for_ever"])
async def test_a_cancelled_call_is_heard_of_though_no_lease_is_ever_renewed(activity: str) -> None:
    work, stage = Work(), Stage()
    store = FaultyStore(stage.hub, "w1")
    await stage.start("until_told", activity)
    async with stage.working(work.app, store=store, settings=NEVER_RENEWED):
        await work.has_begun(stage)
        await stage.raise_event("one", "Stop")
        await work.has_heard()
        await stage.until(lambda: stage.held() == 0)
        await stage.raise_event("one", "End")
        assert await stage.result() == 1
    assert store.calls["renew"] == 0
    assert [(fact.outcome, fact.retried) for fact in stage.told(ActivityAttempted)] == [("canceled", False)]
    assert work.begun == 1
    kinds = [type(event).__name__ for event in await stage.history()]
    assert kinds[2:5] == ["EventRaised", "ActivityCancelRequested", "ActivityCanceled"]
    rows = [row for row in history_rows(await stage.history()) if isinstance(row, ActivityStarted)]
    assert [(row.seq, row.attempt, row.worker) for row in rows] == [(1, 1, "w1")]
    assert "ActivityCompleted" not in kinds
    assert work.cleaned_up is (activity == "wait_for_ever")


@pytest.mark.parametrize("how", ["terminate", "cancel", "continue as new"])
async def test_so_is_every_way_in_which_an_execution_may_leave_a_call(how: str) -> None:
    work, stage = Work(), Stage()
    await stage.start("compensate" if how == "cancel" else "leave", "wait_for_ever")
    async with stage.working(work.app, settings=NEVER_RENEWED):
        await work.has_begun(stage)
        match how:
            case "terminate":
                await stage.send("one", Terminate(reason="no stock"))
            case "cancel":
                await stage.send("one", Cancel(reason="no stock"))
            case _:
                await stage.raise_event("one", "Stop")
        await work.has_heard()
        await stage.until(lambda: stage.held() == 0)
        if how == "cancel":
            snapshot = await stage.store.get("one")
            assert snapshot is not None
            assert snapshot.status is RuntimeStatus.RUNNING
            await stage.raise_event("one", "Undone")
        ends = {"terminate": "Terminated", "cancel": "Canceled"}
        assert (await stage.until_finished()).status == ends.get(how, "Completed")
    assert work.begun == 1


class Deaf(FaultyStore):
    """News never arrives."""

    async def canceled(self, after: dict[int, str], block_ms: int) -> list[tuple[int, CanceledCalls]]:
        await anyio.sleep(block_ms / 1000)
        return []


async def test_where_news_is_lost_the_renewal_tells() -> None:
    work, stage = Work(), Stage()
    await stage.start("until_told", "wait_for_ever")
    async with stage.working(work.app, store=Deaf(stage.hub, "w1"), settings=settings(renew_every_ms=5)):
        await work.has_begun(stage)
        await stage.raise_event("one", "Stop")
        await work.has_heard()
        await stage.until(lambda: stage.held() == 0)
    assert work.begun == 1


async def test_a_task_in_its_queue_is_not_begun() -> None:
    work, stage = Work(), Stage()
    await stage.start("until_told", "wait_for_ever")
    async with stage.working(work.app, "w1", roles={"orchestrations"}):
        await stage.until_seen("one", lambda snapshot: snapshot.length == 2)
        await stage.raise_event("one", "Stop")
        await stage.until_seen("one", lambda snapshot: snapshot.length == 4)
    waiting = [len(queue.entries) for partition in stage.hub.partitions for queue in partition.queues.values()]
    assert sum(waiting) == 1
    async with stage.working(work.app, "w2"):
        await stage.until(lambda: bool(stage.told(ActivityAttempted)))
    assert [fact.outcome for fact in stage.told(ActivityAttempted)] == ["canceled"]
    assert work.begun == 0
    assert not any(len(queue.entries) for partition in stage.hub.partitions for queue in partition.queues.values())


async def test_a_task_that_waits_for_a_slot_is_not_begun() -> None:
    work, stage = Work(), Stage()
    await stage.start("until_told", "wait_for_ever", instance="one")
    async with stage.working(work.app, settings=settings(concurrency=1, lanes=1)):
        await work.has_begun(stage)
        await stage.start("until_told", "wait_for_ever", instance="two")
        await stage.until_seen("two", lambda snapshot: snapshot.length == 2)
        await stage.send("two", Terminate())
        await stage.until_finished("two")
        await stage.raise_event("one", "Stop")
        await stage.until(lambda: len(stage.told(ActivityAttempted)) == 2)
    assert [fact.outcome for fact in stage.told(ActivityAttempted)] == ["canceled", "canceled"]
    assert work.begun == 1


async def test_an_activity_that_cleans_up_for_too_long_is_cancelled_again() -> None:
    app, stage = App("stage"), Stage()
    saw: list[str] = []

    @app.activity
    async def stubborn() -> None:
        saw.append("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            saw.append("cancelled")
            try:
                await asyncio.Event().wait()
            finally:
                saw.append("cancelled again")

    @app.orchestrator
    async def ask(ctx: OrchestrationContext) -> str:
        call = ctx.call_activity(stubborn)
        await ctx.wait_for_external_event("Stop")
        call.cancel()
        return "gone on"

    await stage.start(ask.name)
    async with stage.working(app, settings=settings(cancel_grace_ms=20)):
        await stage.until(lambda: saw == ["begun"])
        await stage.raise_event("one", "Stop")
        assert await stage.result() == "gone on"
        await stage.until(lambda: len(saw) == 3)
    assert saw == ["begun", "cancelled", "cancelled again"]


@pytest.mark.parametrize("timeout", [None, timedelta(hours=1)], ids=["", "watched"])
async def test_shielded_work_can_wait_for_the_cancellation(timeout: timedelta | None) -> None:
    app, stage, begun = App("stage"), Stage(), asyncio.Event()
    saw: list[bool] = []

    async def tidy(context: ActivityContext) -> None:
        await context.wait_cancelled()
        await context.wait_cancelled()
        saw.append(context.cancelled)

    @app.activity(start_to_close_timeout=timeout)
    async def shielded() -> None:
        context = ActivityContext.current()
        assert not context.cancelled
        tidying = asyncio.create_task(tidy(context))
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await tidying

    @app.orchestrator
    async def ask(ctx: OrchestrationContext) -> None:
        await ctx.call_activity(shielded)

    await stage.start(ask.name)
    async with stage.working(app):
        await stage.until(begun.is_set)
        await stage.until_seen("one", lambda snapshot: snapshot.length == 2)
        await stage.send("one", Cancel())
        assert (await stage.until_finished()).status is RuntimeStatus.CANCELED
        await stage.until(lambda: saw == [True])


class Forgetful(FaultyStore):
    """A renewal that is under way when the call is cancelled."""

    async def renew(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> Lost:
        answer = await super().renew(entries, tasks)
        return Lost(answer.entries, answer.tasks, (*answer.canceled, *answer.canceled))


async def test_hearing_it_twice_is_hearing_it_once() -> None:
    work, stage = Work(), Stage()
    await stage.start("until_told", "wait_for_ever")
    async with stage.working(work.app, store=Forgetful(stage.hub, "w1"), settings=settings(renew_every_ms=1)):
        await work.has_begun(stage)
        await stage.raise_event("one", "Stop")
        await work.has_heard()
        await stage.until(lambda: stage.held() == 0)
    assert [fact.outcome for fact in stage.told(ActivityAttempted)] == ["canceled"]
