"""What a worker says of itself and of its hub: to whom, how often, and that only one says it."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from prometheus.model import Alert
from prometheus.redis import REDIS
from redurable import App, OrchestrationContext, Worker
from redurable.errors import StoreRefused
from redurable.facts import (
    Fact,
    Facts,
    HubLeft,
    HubSampled,
    InstancesPurged,
    LeasesHandled,
    MessagesEnded,
    PayloadsMoved,
    PayloadsRejected,
    Polled,
    StoreSampled,
    StreamSampled,
    TurnsTaken,
    WorkerSampled,
)
from redurable.settings import MetricsSettings
from redurable.telemetry.health import Health
from redurable.telemetry.metrics import Metrics, Names
from redurable.worker import vitals
from redurable.worker.polls import Polls
from tests.unit.worker.stage import FaultyStore, Stage, running, settings

SOON: dict[str, Any] = {"survey_every_ms": 20, "worker_ttl_ms": 60_000}
app = App("samples")
stuck = threading.Event()
enough = asyncio.Event()


@app.activity(task_queue="vip")
async def shout(text: str) -> str:
    return text.upper()


@app.activity
async def linger() -> None:
    await enough.wait()


@app.orchestrator
async def stay(ctx: OrchestrationContext) -> None:
    await ctx.call_activity(linger)


@app.activity
async def too_much(size: int) -> str:
    return "x" * size


@app.orchestrator
async def talk(ctx: OrchestrationContext, text: str) -> str:
    return await ctx.call_activity(shout, text)


@app.orchestrator
async def ask_for_much(ctx: OrchestrationContext, size: int) -> str:
    return await ctx.call_activity(too_much, size)


@app.orchestrator
async def wait(ctx: OrchestrationContext) -> str:
    return await ctx.wait_for_external_event("Go", str)


@app.orchestrator
async def hang(ctx: OrchestrationContext) -> None:
    stuck.wait(10)


@pytest.fixture(autouse=True)
def short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "TICK_SECONDS", 0.004)


class Watched:
    """A worker, and what it alone says."""

    def __init__(self, stage: Stage, name: str, *, hub: bool = True, **changes: Any) -> None:
        self.worker: Worker = stage.worker(app, name, settings=settings(**SOON, **changes))
        self.facts: list[Fact] = []
        self.worker.facts.subscribe(self.facts.append, hub=hub)

    def surveys(self) -> list[HubSampled]:
        return [fact for fact in self.facts if isinstance(fact, HubSampled)]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(15):
        while True:
            if condition():
                return
            await anyio.sleep(0.002)


async def test_one_of_all_workers_tells_of_the_hub_and_another_follows_it() -> None:
    stage = Stage()
    await stage.start("nobody-knows-it")
    watched = [Watched(stage, f"w{number}") for number in range(3)]
    async with anyio.create_task_group() as group:
        for one in watched:
            group.start_soon(one.worker.run)
        await until(lambda: any(len(one.surveys()) > 20 for one in watched))
        chosen = max(watched, key=lambda one: len(one.surveys()))
        await until(lambda: dict(chosen.surveys()[-1].workers) == {"orchestrations": 3, "activities": 3})
        counts = [len(one.surveys()) for one in watched]
        await until(lambda: len(chosen.surveys()) > counts[watched.index(chosen)] + 5)
        assert [len(one.surveys()) for one in watched if one is not chosen] == [
            count for one, count in zip(watched, counts, strict=True) if one is not chosen
        ]
        chosen.worker.stop()
        others = [one for one in watched if one is not chosen]
        await until(
            lambda: isinstance(next(f for f in reversed(chosen.facts) if isinstance(f, HubSampled | HubLeft)), HubLeft)
        )
        before = [len(one.surveys()) for one in others]
        await until(lambda: any(len(one.surveys()) > count for one, count in zip(others, before, strict=True)))
        for one in others:
            one.worker.stop()


async def test_who_has_nobody_to_tell_does_not_look() -> None:
    stage = Stage()
    quiet, teller = Watched(stage, "w1", hub=False), Watched(stage, "w2")
    async with running(quiet.worker), running(teller.worker):
        await until(lambda: len(teller.surveys()) > 3)
    assert quiet.surveys() == []


def _gather_into(told: list[Fact]) -> Callable[[Facts, Fact], None]:
    return lambda _, fact: told.append(fact)


async def test_nothing_is_told_nor_measured_while_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Fact] = []
    monkeypatch.setattr(Facts, "announce", _gather_into(told))
    stage, measured = Stage(), Counter[str]()

    class Measured(FaultyStore):
        def sample(self) -> StoreSampled:
            measured["store"] += 1
            return super().sample()

    store = Measured(stage.hub, "w1")
    quiet = Worker.from_store(app, store, settings=settings(**SOON, max_payload_bytes=2_000))
    async with quiet, running(quiet):
        store.lose_next = "receive"
        await stage.start("talk", "hello")
        await stage.start("ask_for_much", 5_000, instance="two")
        await stage.start("wait", instance="three")
        await stage.start("nobody-knows-it", instance="four")
        await stage.raise_event("three", "Go", "ahead")
        assert [await stage.result(), await stage.result("three")] == ["HELLO", "ahead"]
        await stage.until_finished("two")
    assert (told, measured) == ([], {})


async def test_the_hub_as_it_is() -> None:
    stage = Stage()
    watched = Watched(stage, "w1", concurrency=5, park_min_ms=60_000, park_max_ms=60_000)
    await stage.start("wait")
    await stage.start("talk", "hello", instance="two")
    stage.hub.served.add("foreign")
    await stage.start("nobody-knows-it", instance="three")
    async with running(watched.worker):
        assert await stage.result("two") == "HELLO"
        await until(lambda: any(dict(sample.workers)["activities"] == 1 for sample in watched.surveys()))
        settled = {("wait", "Running", 1), ("talk", "Running", 0)}
        await until(lambda: settled <= set(watched.surveys()[-1].instances))
        seen = len(watched.surveys())
        await until(lambda: len(watched.surveys()) > seen + 1)
        sample = watched.surveys()[-1]
        samples = len(stage.told(WorkerSampled))
        await until(lambda: len(stage.told(WorkerSampled)) > samples)
        worker = stage.told(WorkerSampled)[-1]
    streams = {stream.queue: stream for stream in sample.streams}
    assert streams.keys() == {"_ready", "default", "vip", "_unknown", "_intake", "_outbox", "_answers"}
    assert streams["vip"] == StreamSampled("vip", 0, 0, 0, 1)
    assert sample.valid == 0.06
    assert ("_unknown", "Pending", 1) in sample.instances
    assert {count for name, _, count in sample.instances if name == "talk"} == {0}
    assert worker.slots == (("activity", 5, 0), ("activity_thread", 16, 0), ("orchestrator", 3, 0))
    assert (worker.cached, worker.draining, worker.instances_held) == (1, False, 0)
    assert worker.silent == 0.0
    assert len(worker.lags) == vitals.TICKS


async def test_a_drain_is_told_before_its_sample_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "TICK_SECONDS", 0.03)
    enough.clear()
    stage = Stage()
    worker = stage.worker(app, settings=settings(drain_timeout_ms=10_000))

    def hear(fact: Fact) -> None:
        if isinstance(fact, WorkerSampled) and fact.draining:
            enough.set()
        elif isinstance(fact, WorkerSampled) and fact.tasks_held:
            worker.stop()

    worker.facts.subscribe(hear)
    await stage.start("stay")
    async with running(worker):
        await until(enough.is_set)
    told = next(fact for fact in stage.told(WorkerSampled) if fact.draining)
    assert len(told.lags) < vitals.TICKS


async def test_a_store_that_refuses_to_tell_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Refusing(FaultyStore):
        async def depths(self, queues: Any = ()) -> Any:
            self.calls["depths"] += 1
            raise StoreRefused("this user may not do that")

    stage = Stage()
    store = Refusing(stage.hub, "w1")
    worker = stage.worker(app, store=store, settings=settings(**SOON))
    worker.facts.subscribe(lambda fact: None, hub=True)
    async with running(worker):
        await until(lambda: store.calls["depths"] > 3)
        await stage.start("talk", "hello")
        assert await stage.result() == "HELLO"
    assert caplog.text.count("no metrics of the whole hub: this user may not do that") == 1


async def test_what_moves_is_told_in_batches() -> None:
    stage = Stage()
    await stage.start("talk", "hello")
    async with stage.working(app):
        assert await stage.result() == "HELLO"
    turns = [turn for fact in stage.told(TurnsTaken) for turn in fact.turns]
    assert [(turn.replay, turn.events > 0, turn.instance) for turn in turns] == [
        ("begun", True, "one"),
        ("cached", True, "one"),
    ]
    assert all(0 <= turn.waited < 10 for turn in turns)
    kinds = sorted(size for fact in stage.told(PayloadsMoved) for size in fact.sizes)
    assert kinds == [("activity_input", 7), ("activity_result", 7), ("input", 7), ("result", 7)]
    came = {queue for fact in stage.told(Polled) for queue, count in fact.queues if count}
    assert came == {"_ready", "vip"}
    ended = [item for fact in stage.told(MessagesEnded) for item in fact.queues]
    assert sum(count for queue, count, _ in ended if queue == "vip") == 1
    assert sum(count for queue, count, _ in ended if queue == "_ready") >= 2
    assert {fact.op for fact in stage.told(LeasesHandled)} <= {"renew"}
    assert stage.told(InstancesPurged) == []


async def test_a_payload_that_is_too_large_is_counted() -> None:
    stage = Stage()
    await stage.start("ask_for_much", 5_000)
    async with stage.working(app, settings=settings(max_payload_bytes=2_000)):
        await stage.until_finished()
    assert stage.told(PayloadsRejected) == [PayloadsRejected("invalid_payload", 1)]


async def test_turns_that_hang_are_no_life() -> None:
    stage = Stage()
    health = Health(MetricsSettings(live_within_ms=500))
    worker = stage.worker(app, settings=settings(lanes=1, drain_timeout_ms=5_000))
    worker.facts.subscribe(health)
    async with running(worker):
        await until(lambda: health.ready().ok and health.live().ok)
        await stage.start("hang")
        await until(lambda: any("no turn has ended" in why for why in health.live().why))
        stuck.set()
        await stage.until_finished()
        await until(lambda: health.live().ok)


async def test_a_worker_whose_store_is_gone_is_alive_and_not_ready() -> None:
    stage = Stage()
    health = Health(MetricsSettings(live_within_ms=300, ready_within_ms=50))
    store = FaultyStore(stage.hub, "w1")
    worker = stage.worker(app, store=store)
    metrics = Metrics("stage", Names())
    worker.facts.subscribe(health)
    worker.facts.subscribe(metrics)
    async with running(worker):
        await until(lambda: health.ready().ok)
        store.down = True
        await until(lambda: not health.ready().ok)
        assert "the store was last heard of" in health.ready().why[0]
        # A machine that stands still for so long stops the loop, too: then it is looked at again.
        await until(lambda: health.ready().seconds["store"] > 0.4 and health.live().ok)
        await until(lambda: seconds_that_the_alert_sees(metrics) > 0.3)
        store.down = False
        await until(lambda: health.ready().ok)


def seconds_that_the_alert_sees(metrics: Metrics) -> float:
    """How long the alert about a Redis that is down believes the silence to be."""
    (alert,) = (rule for rule in REDIS.rules if isinstance(rule, Alert) and rule.name == "RedurableRedisDown")
    (name,) = re.findall(r"redurable_\w+_timestamp_seconds", alert.expr)
    return time.time() - (metrics.registry.get_sample_value(name, {"hub": "stage"}) or 0)


def test_a_loop_that_waits_is_not_silent() -> None:
    polls = Polls()
    assert polls.silent_for(10.0) == 0.0
    polls.begin("turns")
    polls.begin("turns")
    polls.end("turns")
    assert polls.silent_for(1e12) == 0.0
    polls.end("turns")
    polls.begin("tasks")
    assert polls.silent_for(1e12) > 1e11
