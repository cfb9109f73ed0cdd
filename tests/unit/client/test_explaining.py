"""Why instances do not move, and what an onlooker sees: a store in memory, turns and tasks taken by hand."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from redurable import App, Client, InstanceNotFound, OrchestrationContext, Reason, RetryPolicy
from redurable.core.turn import TurnInput, take_turn
from redurable.store.membership import Skills
from redurable.store.memory import MemoryHub, MemoryStore
from tests.support.story import PARKING

BEGIN = 1_700_000_000_000
app = App("orders")


@app.activity(task_queue="gpu", retry=RetryPolicy(max_attempts=3, initial_interval=timedelta(minutes=1)))
async def price(lines: int) -> int:
    return lines


@app.orchestrator
async def process(ctx: OrchestrationContext) -> int:
    index, _ = await ctx.select(
        ctx.create_timer(timedelta(hours=1)),
        ctx.call_activity(price, 3),
        ctx.wait_for_external_event("Approval"),
        ctx.call_sub_orchestrator("child"),
    )
    return index


@app.orchestrator
async def child(ctx: OrchestrationContext) -> None:
    await ctx.wait_for_external_event("Go")


@app.orchestrator
async def stuck(ctx: OrchestrationContext) -> None:
    import asyncio

    await asyncio.Event().wait()


class Scene:
    """A hub, a client, and one worker whose turns are taken when a test says so."""

    def __init__(self) -> None:
        ticks = itertools.count(BEGIN)
        self.store = MemoryStore(MemoryHub("orders", 4, lambda: next(ticks) + self.ahead), "client")
        self.worker = MemoryStore(self.store.state, "worker-1")
        self.ahead = 0
        self.heads = itertools.count(1)
        self.client: Client

    async def skilled(self, **skills: Any) -> None:
        whole: dict[str, Any] = {"roles": ("orchestrations", "activities"), "task_queues": ("default", "gpu")}
        whole |= {"activities": ("price",), "orchestrators": ("process", "child", "stuck")}
        await self.worker.heartbeat(60_000, Skills(**(whole | skills)))

    async def turns(self, known: bool = True) -> None:
        while entries := await self.worker.receive(range(4), 100, 0):
            for delivery in await self.worker.checkout(entries, [None] * len(entries)):
                definition = app.registry.orchestrator(delivery.name) if known else None
                turn = take_turn(definition, TurnInput(delivery, None, f"h{next(self.heads)}", "3.11", PARKING))
                await self.worker.commit([turn.commit])
                if turn.known:
                    turn.known.evict()
            if not known:
                return
            for number in range(4):
                await self.worker.relay(number, 100)

    async def reasons(self, instance: str = "one") -> dict[str, Reason]:
        return {reason.kind: reason for reason in await self.client.explain(instance)}


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    async with Client.from_store(made.store) as made.client:
        yield made


async def start(scene: Scene, name: str = "process") -> None:
    function = {"process": process, "child": child, "stuck": stuck}[name]
    await scene.client.start(function.options(instance_id="one"))


async def test_a_start_that_nobody_reads(scene: Scene) -> None:
    with pytest.raises(InstanceNotFound):
        await scene.client.explain("one")
    await start(scene)
    (nobody,) = await scene.client.explain("one")
    assert (nobody.kind, nobody.blocked) == ("mail", True)
    assert nobody.text == "1 message to be read, and no worker that runs orchestrations lives: start one"

    await scene.skilled(orchestrators=("other",))
    (unable,) = await scene.client.explain("one")
    assert unable.blocked
    assert "none of 1 workers knows the orchestrator 'process'" in unable.text

    await scene.skilled()
    (waiting,) = await scene.client.explain("one")
    assert (waiting.blocked, str(waiting)) == (False, "1 message to be read: waits for one of 1 workers that know it")

    await scene.worker.receive(range(4), 100, 0)
    (held,) = await scene.client.explain("one")
    assert not held.blocked
    assert held.text.startswith("1 message to be read: worker-1 has the turn, lease renewed 0.0 s ago")


@pytest.mark.parametrize(
    ("instance", "words"), [("a b", "'a b'"), ("-x", "-- -x"), ("it's $HOME", "'it'\"'\"'s $HOME'")]
)
async def test_a_command_that_is_advised_can_be_copied(scene: Scene, instance: str, words: str) -> None:
    await scene.client.start(child.options(instance_id=instance))
    await scene.skilled()
    await scene.turns()
    await scene.client.suspend(instance)
    await scene.turns()
    assert f"`redurable resume {words}`" in (await scene.reasons(instance))["suspended"].text


async def test_moments_beyond_the_calendar(scene: Scene) -> None:
    await scene.skilled()
    for name, options in {"one": {"delay": timedelta.max}, "two": {"execution_timeout": timedelta.max}}.items():
        chosen: Any = options
        await scene.client.start(child.options(instance_id=name, **chosen))
    await scene.turns()
    last = datetime.max.replace(tzinfo=UTC)
    assert (await scene.reasons("one"))["delay"].until == last
    assert (await scene.reasons("two"))["timer"].until == last


async def test_all_that_code_waits_for(scene: Scene) -> None:
    await start(scene)
    await scene.skilled()
    await scene.turns()
    found = await scene.reasons()
    assert set(found) == {"activity", "timer", "child", "event"}
    assert found["activity"].text == "activity price (call 2): attempt 1 waits in queue 'gpu'"
    assert found["event"].text == "external event 'Approval'"
    assert found["child"].text == "sub-orchestration child, instance one:3: `redurable explain one:3`"
    until, since = found["timer"].until, found["timer"].since
    assert until is not None
    assert since is not None
    assert until - since == timedelta(hours=1)
    assert found["event"].since == since >= datetime.fromtimestamp(BEGIN / 1000, UTC)
    assert not any(reason.blocked for reason in found.values())

    status = await scene.client.get_status("one")
    assert status.awaited_events == {"Approval": since}
    assert (await scene.reasons("one:3"))["event"].text == "external event 'Go'"


@pytest.mark.parametrize(
    ("skills", "said"),
    [
        ({"roles": ("orchestrations",)}, ", and no worker that runs activities lives: start one"),
        ({"task_queues": ("default",)}, ", which none of 1 workers serves: start one with --task-queue gpu"),
        ({"activities": ()}, ", and none of 1 workers that serve it knows the activity"),
    ],
)
async def test_an_activity_that_nobody_can_run(scene: Scene, skills: dict[str, tuple[str, ...]], said: str) -> None:
    await start(scene)
    await scene.turns()
    await scene.skilled(**skills)
    reason = (await scene.reasons())["activity"]
    assert reason.blocked
    assert said in reason.text


async def test_an_instance_that_is_held_as_a_whole(scene: Scene) -> None:
    await start(scene)
    await scene.skilled()
    await scene.turns()
    await scene.client.suspend("one", "audit")
    await scene.turns()
    first, *_ = await scene.client.explain("one")
    assert (first.kind, first.blocked) == ("suspended", True)
    assert first.text == "suspended (audit): `redurable resume one` lets it go on"


async def test_an_instance_that_is_quarantined(scene: Scene) -> None:
    await start(scene)
    await scene.turns(known=False)
    (reason,) = await scene.client.explain("one")
    assert (reason.kind, reason.blocked) == ("quarantine", False)
    assert "no worker here knows the orchestrator 'process'" in reason.text
    assert "tried 1 times, and again by itself" in reason.text
    assert reason.until is not None


async def test_code_that_waits_for_itself(scene: Scene) -> None:
    await start(scene, "stuck")
    await scene.turns()
    (reason,) = await scene.client.explain("one")
    assert (reason.kind, reason.blocked) == ("code", True)
    assert "asyncio.Event" in reason.text


async def test_one_that_has_ended_waits_for_nothing(scene: Scene) -> None:
    await start(scene)
    await scene.turns()
    await scene.client.terminate("one", "no stock")
    await scene.turns()
    (reason,) = await scene.client.explain("one")
    assert reason.text == "it has ended: Terminated: OrchestrationTerminated: no stock"
    assert (await scene.client.get_status("one")).awaited_events == {}


async def test_a_start_that_is_delayed(scene: Scene) -> None:
    await scene.client.start(child.options(instance_id="one", delay=timedelta(hours=2)))
    await scene.turns()
    (reason,) = await scene.client.explain("one")
    assert (reason.kind, reason.blocked) == ("delay", False)
    assert reason.until is not None


async def test_an_event_that_came_is_not_waited_for(scene: Scene) -> None:
    await start(scene, "child")
    await scene.turns()
    assert set(await scene.reasons()) == {"event"}
    await scene.client.raise_event("one", "Other")
    await scene.turns()
    status = await scene.client.get_status("one")
    assert (set(status.awaited_events), status.unread_events) == ({"Go"}, {"Other": 1})


async def test_onlookers_see_every_step_until_the_end(scene: Scene) -> None:
    await start(scene, "child")
    seen: list[tuple[str, list[str]]] = []

    async def look() -> None:
        async for status in scene.client.watch("one"):
            seen.append((status.runtime_status, [type(event).__name__ for event in status.history or ()]))
            if status.runtime_status == "Pending":
                await scene.turns()
            elif status.runtime_status == "Running":
                await scene.client.raise_event("one", "Go")
                await scene.turns()

    with anyio.fail_after(10):
        await look()
    assert seen == [
        ("Pending", []),
        ("Running", ["ExecutionStarted"]),
        ("Completed", ["ExecutionStarted", "EventRaised", "ExecutionCompleted"]),
    ]
    with pytest.raises(InstanceNotFound):
        await anext(scene.client.watch("two"))
