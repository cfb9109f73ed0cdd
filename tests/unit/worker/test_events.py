"""External events at a worker: backlogs and events for nobody are told of, and nothing of a delayed start is early."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.core.delivery import Outgoing, TurnCommit
from redurable.core.messages import StartExecution, Suspend, Terminate
from redurable.core.values import RuntimeStatus
from redurable.facts import EventsPiledUp, EventsUnclaimed, TurnsTaken
from redurable.store.memory import MemoryStore
from redurable.store.port import Committed, StartRequest, TaskDemand
from redurable.store.unknown import UnknownInstance
from tests.unit.worker.stage import Stage, settings

app = App("stage")


@app.orchestrator
async def hoarder(ctx: OrchestrationContext) -> int:
    for _ in range(2):
        for _ in range(await ctx.wait_for_external_event("Take", int)):
            await ctx.wait_for_external_event("Other")
    return 0


@app.orchestrator
async def shouting(ctx: OrchestrationContext) -> None:
    await ctx.raise_event("nobody", "Hello")


async def test_a_backlog_is_told_of_once_for_every_time_it_arises(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    await stage.start("hoarder")

    async def more(count: int, depth: int) -> None:
        for _ in range(count):
            await stage.raise_event("one", "Other")
        await stage.until_seen("one", lambda seen: seen.unread_events.get("Other", 0) == depth)

    with caplog.at_level(logging.WARNING, "redurable.worker"):
        async with stage.working(app):
            await more(100, 100)
            assert caplog.messages == []
            await more(1, 101)
            await more(60, 161)
            (line,) = caplog.messages
            assert "instance one: " in line
            assert "events 'Other' wait unread" in line
            await stage.raise_event("one", "Take", 150)
            await stage.until_seen("one", lambda seen: seen.unread_events.get("Other") == 11)
            await more(130, 141)
            await stage.raise_event("one", "Take", 141)
            assert (await stage.until_finished()).unread_events == {}
    assert len(caplog.messages) == 2
    assert [(fact.instance, fact.name) for fact in stage.told(EventsPiledUp)] == [("one", "Other")] * 2
    assert all(100 < fact.depth <= 141 for fact in stage.told(EventsPiledUp))


@pytest.mark.parametrize(
    ("rule", "outcome", "words"),
    [
        ({}, "kept", "kept until it starts"),
        ({"unknown_instance": "drop"}, "dropped", "dropped"),
        ({"unknown_instance": "dead-letter"}, "buried", "sent to the dead letters"),
        ({"unknown_instance_most": 1}, "buried", "sent to the dead letters"),
    ],
    ids=["default", "drop", "dead-letter", "too-many"],
)
async def test_events_for_nobody_are_counted(
    rule: dict[str, object], outcome: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()
    async with stage.working(app, settings=settings(**rule)):
        await stage.until(lambda: (stage.hub.unknown != UnknownInstance()) is bool(rule))
        for _ in range(2):
            stage.hub.intake.append(stage.hub.clock(), {b"event": b"Hello", b"instance": b"nobody"})
        stage.hub.wake()
        await stage.start("shouting")
        await stage.until(lambda: sum(fact.count for fact in stage.told(EventsUnclaimed)) == 3)
    told = [(fact.outcome, fact.count) for fact in stage.told(EventsUnclaimed)]
    assert sum(count for known, count in told if known == outcome) == (2 if "unknown_instance_most" in rule else 3)
    assert f"for an instance that does not exist: {words}" in caplog.text
    await stage.store.relay(stage.hub.of("nobody").number, 10)
    assert len(stage.hub.dead.entries) == (sum(count for known, count in told if known == "buried"))


async def test_a_worker_that_is_told_nothing_leaves_the_rule_alone() -> None:
    stage = Stage()
    await stage.store.set_unknown(UnknownInstance("drop"))
    await stage.start("shouting")
    async with stage.working(app):
        await stage.until(lambda: bool(stage.told(EventsUnclaimed)))
    assert stage.hub.unknown.rule == "drop"


async def test_a_delayed_start_does_not_begin_early() -> None:
    stage = Stage()
    message = StartExecution(name="hoarder", execution="x1")
    await stage.store.start(StartRequest("one", message, delay_ms=3_600_000))
    async with stage.working(app):
        await stage.raise_event("one", "Take", 0)
        await stage.send("one", Suspend())
        await stage.until(lambda: any(fact.turns for fact in stage.told(TurnsTaken)))
        seen = await stage.until_seen("one", lambda seen: seen.unread == 2)
        assert (seen.status, seen.length, seen.start) == (RuntimeStatus.PENDING, 0, message)
        await stage.send("one", Terminate(reason="not needed"))
        assert (await stage.until_finished()).status is RuntimeStatus.TERMINATED


class Interrupted(MemoryStore):
    """A store in which a control message arrives while the first turn is on its way."""

    interrupted = False

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        if not self.interrupted:
            self.interrupted = True
            await self.send([Outgoing("one", Terminate(reason="amid the turn"))])
        return await super().commit(commits, demand)


async def test_a_control_message_that_comes_amid_a_parking_turn_does_not_wait() -> None:
    stage = Stage()
    await stage.start("nobody_knows")
    store = Interrupted(stage.hub, "w1")
    async with stage.working(app, store=store, settings=settings(park_min_ms=60_000)):
        assert (await stage.until_finished()).status is RuntimeStatus.TERMINATED
    assert store.interrupted


async def test_a_parked_instance_with_much_mail_can_be_ended() -> None:
    stage = Stage()
    await stage.start("nobody_knows")
    async with stage.working(app, settings=settings(park_min_ms=60_000)):
        await stage.until_seen("one", lambda seen: bool(seen.quarantined))
        for _ in range(250):
            await stage.raise_event("one", "Hello")
        await stage.send("one", Terminate())
        assert (await stage.until_finished()).status is RuntimeStatus.TERMINATED
        await stage.until(lambda: len(stage.hub.dead.entries) == 250)
