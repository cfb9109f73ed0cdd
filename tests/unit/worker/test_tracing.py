"""Spans of whole orchestrations on a hub in memory: what is below what, once, and what context travels."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler, TraceIdRatioBased

from redurable import ActivityContext, App, CallerError, Client, OrchestrationContext, RetryPolicy
from redurable.core.delivery import Outcome, Receipt, TurnCommit
from redurable.core.events import ExecutionStarted
from redurable.core.messages import RaiseEvent
from redurable.core.values import Trace
from redurable.errors import InstanceAlreadyExists
from redurable.facts import ActivityAttempted, InstancesFinished, SpansEnded, TaskStarted, TurnsTaken
from redurable.store.memory.state import MemoryHub
from redurable.store.port import Committed, TaskDemand
from redurable.telemetry.tracing import instrument
from redurable.worker import Worker
from tests.support.spans import Exported, Seen
from tests.unit.worker.stage import FaultyStore, Stage, running

QUICKLY = RetryPolicy(max_attempts=2, initial_interval=timedelta(milliseconds=1))
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

app = App("traced", default_retry=QUICKLY)
current: list[str] = []


def note() -> None:
    made = trace.get_current_span().get_span_context()
    current.append(f"{made.span_id:016x}")


@app.activity
async def greet(name: str) -> str:
    note()
    await asyncio.sleep(0)
    return f"Hello {name}"


@app.activity
def greet_in_thread(name: str) -> str:
    note()
    return ActivityContext.current().traceparent


@app.activity
async def fails(times: int) -> int:
    if ActivityContext.current().attempt <= times:
        raise ValueError("not yet")
    return times


@app.activity
async def hangs() -> None:
    await asyncio.Event().wait()


@app.orchestrator
async def hello(ctx: OrchestrationContext, name: str) -> list[str]:
    return [await ctx.call_activity(greet, name), ctx.traceparent, await ctx.call_activity(greet_in_thread, name)]


@app.orchestrator
async def retries(ctx: OrchestrationContext, times: int) -> int:
    return await ctx.call_activity(fails, times)


@app.orchestrator
async def family(ctx: OrchestrationContext) -> list[str]:
    ctx.start_orchestration(retries, 0, instance_id="detached")
    await ctx.raise_event("elsewhere", "Hi")
    return await ctx.call_sub_orchestrator(hello, "child")


@app.orchestrator
async def rounds(ctx: OrchestrationContext, left: int) -> str:
    await ctx.create_timer(timedelta(milliseconds=1))
    if left:
        ctx.continue_as_new(left - 1)
    return "done"


@app.orchestrator
async def gives_up(ctx: OrchestrationContext) -> str:
    never = ctx.create_timer(timedelta(days=1))
    await ctx.select(ctx.wait_for_external_event("Go"), never)
    ctx.call_activity(hangs).cancel()
    ctx.call_sub_orchestrator(waits, instance_id="left")
    return "given up"


@app.orchestrator
async def waits(ctx: OrchestrationContext) -> None:
    await ctx.wait_for_external_event("Never")


class Scene(Stage):
    """A stage whose client and workers make spans."""

    def __init__(self, exported: Exported) -> None:
        super().__init__(partitions=4)
        self.exported = exported
        self._stack = AsyncExitStack()

    async def open(self, *workers: str) -> Client:
        for name in workers:
            await self.add(name)
        client = Client.from_store(self.store)
        instrument(client, provider=self.exported.provider)
        return await self._stack.enter_async_context(client)

    async def add(self, name: str, **options: Any) -> Worker:
        worker = self.worker(app, name, **options)
        instrument(worker, provider=self.exported.provider)
        await self._stack.enter_async_context(worker)
        await self._stack.enter_async_context(running(worker))
        return worker

    async def close(self) -> None:
        await self._stack.aclose()

    def below(self, span: Seen) -> list[str]:
        return sorted(other.name for other in self.exported.spans if other.parent == span.id)

    async def until_exported(self, *names: str) -> None:
        await self.until(lambda: all(self.exported.named(name) for name in names))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    current.clear()
    opened = Scene(Exported(ParentBased(TraceIdRatioBased(1.0))))
    yield opened
    await opened.close()


async def test_one_trace_from_the_caller_to_the_activities(scene: Scene) -> None:
    client = await scene.open("w1", "w2")
    with scene.exported.tracer.start_as_current_span("request"):
        handle = await client.start(hello, "Ada", instance_id="one")
    said, own, handed = await handle.result(timeout=10)
    await scene.until_exported("orchestration:hello", "activity:greet_in_thread")
    request, made = scene.exported.one("request"), scene.exported.one("create_orchestration:hello")
    run, greeted = scene.exported.one("orchestration:hello"), scene.exported.one("activity:greet")
    threaded = scene.exported.one("activity:greet_in_thread")
    assert said == "Hello Ada"
    assert {span.trace for span in scene.exported.spans} == {request.trace}
    assert (made.parent, run.parent) == (request.id, made.id)
    assert scene.below(run) == ["activity:greet", "activity:greet_in_thread"]
    assert [made.kind, run.kind, greeted.kind] == ["PRODUCER", "CONSUMER", "CONSUMER"]
    assert own == handed == f"00-{run.trace}-{run.id}-03", "what the code is told is the span that its calls are below"
    assert current == [greeted.id, threaded.id], "the attempt's span is the current one, also in threads"
    assert (run.outcome, greeted.outcome, run.failed) == ("Completed", "ok", False)
    assert run.fields["redurable.hub"] == "stage"
    assert (
        greeted.fields | {"redurable.instance_id": "one", "redurable.attempt": 1, "redurable.seq": 1} == greeted.fields
    )
    assert run.begun <= greeted.begun <= greeted.ended <= threaded.ended


async def test_a_failed_attempt_is_a_span_with_its_error_and_the_next_one_another(scene: Scene) -> None:
    client = await scene.open("w1")
    assert await (await client.start(retries, 1)).result(timeout=10) == 1
    await scene.until_exported("orchestration:retries")
    first, second = scene.exported.named("activity:fails")
    assert [first.outcome, second.outcome] == ["error", "ok"]
    assert [first.fields["redurable.attempt"], second.fields["redurable.attempt"]] == [1, 2]
    assert (first.failed, second.failed) == (True, False)
    (error,) = first.said
    assert error["attributes"]["exception.message"] == "not yet"
    assert "in fails" in error["attributes"]["exception.stacktrace"]
    assert first.fields["error.type"] == "ValueError"
    assert not scene.exported.one("orchestration:retries").failed


async def test_an_execution_that_fails_says_why(scene: Scene) -> None:
    client = await scene.open("w1")
    handle = await client.start(retries, 9)
    with pytest.raises(Exception, match="not yet"):
        await handle.result(timeout=10)
    await scene.until_exported("orchestration:retries")
    run = scene.exported.one("orchestration:retries")
    assert (run.failed, run.outcome, run.fields["error.type"]) == (True, "Failed", "ActivityFailed")
    assert [span.outcome for span in scene.exported.named("activity:fails")] == ["error", "error"]


async def test_children_are_below_their_calls(scene: Scene) -> None:
    client = await scene.open("w1", "w2")
    await (await client.start(family, instance_id="one")).result(timeout=10)
    await scene.until_exported("orchestration:family", "orchestration:hello", "orchestration:retries")
    run, call = scene.exported.one("orchestration:family"), scene.exported.one("sub_orchestration:hello")
    detached, sent = scene.exported.one("create_orchestration:retries"), scene.exported.one("orchestration_event:Hi")
    assert {call.parent, detached.parent, sent.parent} == {run.id}
    assert scene.below(call) == ["orchestration:hello"]
    assert scene.below(detached) == ["orchestration:retries"]
    assert call.fields["redurable.target_instance_id"] == "one:3"
    assert (call.outcome, sent.fields["redurable.target_instance_id"]) == ("completed", "elsewhere")
    assert len({span.trace for span in scene.exported.spans}) == 1


async def test_executions_that_continue_are_linked_and_keep_the_trace(scene: Scene) -> None:
    client = await scene.open("w1")
    assert await (await client.start(rounds, 2)).result(timeout=10) == "done"
    await scene.until(lambda: len(scene.exported.named("orchestration:rounds")) == 3)
    first, second, third = scene.exported.named("orchestration:rounds")
    made = scene.exported.one("create_orchestration:rounds")
    assert [span.parent for span in (first, second, third)] == [made.id] * 3
    assert [first.links, second.links, third.links] == [[], [first.id], [second.id]]
    assert [span.outcome for span in (first, second, third)] == ["ContinuedAsNew", "ContinuedAsNew", "Completed"]
    timers = scene.exported.named("timer")
    assert [timer.parent for timer in timers] == [first.id, second.id, third.id]
    assert all(timer.outcome == "fired" and timer.begun < timer.ended for timer in timers)


async def test_what_an_execution_leaves_behind_has_spans_too(scene: Scene) -> None:
    client = await scene.open("w1")
    handle = await client.start(gives_up, instance_id="one")
    with scene.exported.tracer.start_as_current_span("click") as click:
        await client.raise_event("one", "Go")
    assert await handle.result(timeout=10) == "given up"
    await scene.until_exported("orchestration:gives_up", "orchestration:waits")
    run, timer = scene.exported.one("orchestration:gives_up"), scene.exported.one("timer")
    assert (timer.outcome, timer.parent) == ("canceled", run.id)
    call, child = scene.exported.one("sub_orchestration:waits"), scene.exported.one("orchestration:waits")
    assert (call.outcome, child.outcome, child.parent) == ("left", "Terminated", call.id)
    event, raised = scene.exported.one("event:Go"), scene.exported.one("orchestration_event:Go")
    assert event.links == [raised.id]
    assert (event.parent, raised.parent) == (run.id, f"{click.get_span_context().span_id:016x}")
    assert not scene.exported.named("activity:hangs"), "a call that was taken back at once has no attempt"


async def test_a_start_without_a_context_begins_a_trace_at_its_first_turn(scene: Scene) -> None:
    await scene.open("w1", "w2")
    await scene.start("family")
    await scene.until_finished("detached")
    await scene.result()
    await scene.until_exported("orchestration:family", "orchestration:hello", "orchestration:retries")
    run = scene.exported.one("orchestration:family")
    assert run.parent == ""
    assert {span.trace for span in scene.exported.spans} == {run.trace}


async def test_a_trace_that_is_not_sampled_makes_no_span_and_stays_so() -> None:
    scene = Scene(Exported(ParentBased(ALWAYS_OFF)))
    client = await scene.open("w1", "w2")
    _, own, _ = await (await client.start(hello, "Ada")).result(timeout=10)
    await scene.start("hello", "Eve", instance="other")
    _, other, _ = await scene.result("other")
    await scene.close()
    assert own.endswith(("-00", "-02")), own
    assert other.endswith(("-00", "-02")), other
    assert scene.exported.spans == []


async def test_without_tracing_nothing_is_added(scene: Scene) -> None:
    client = await scene.open()
    client.tracing = None
    async with scene.working(app):
        await (await client.start(hello, "Ada", instance_id="one")).result(timeout=10)
    history = await scene.history()
    assert isinstance(history[0], ExecutionStarted)
    assert history[0].trace is None
    assert scene.told(SpansEnded) == []
    assert {fact.trace_id for fact in scene.told(ActivityAttempted)} == {""}
    assert {turn.trace_id for fact in scene.told(TurnsTaken) for turn in fact.turns} == {""}


async def test_facts_know_the_trace(scene: Scene) -> None:
    client = await scene.open("w1")
    await (await client.start(hello, "Ada")).result(timeout=10)
    await scene.until_exported("orchestration:hello")
    number = scene.exported.one("orchestration:hello").trace
    assert {fact.trace_id for fact in scene.told(ActivityAttempted)} == {number}
    assert {number} == {turn.trace_id for fact in scene.told(TurnsTaken) for turn in fact.turns}
    assert {fact.trace_id for fact in scene.told(TaskStarted)} == {number}
    assert {end[-1] for fact in scene.told(InstancesFinished) for end in fact.ends} == {number}


async def test_a_worker_that_makes_no_spans_hands_the_context_on(scene: Scene) -> None:
    client = await scene.open()
    async with scene.working(app, "plain"):
        _, own, _ = await (await client.start(hello, "Ada", instance_id="one")).result(timeout=10)
    made = scene.exported.one("create_orchestration:hello")
    assert own.startswith(f"00-{made.trace}-")
    assert not scene.exported.named("orchestration:hello")


class OftenFenced(FaultyStore):
    """Every turn is fenced the first time, as if another worker had been quicker."""

    def __init__(self, hub: MemoryHub, consumer: str) -> None:
        super().__init__(hub, consumer)
        self._seen: set[tuple[str, str]] = set()

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        turns = {(commit.entry.instance, commit.expected) for commit in commits}
        if turns <= self._seen:
            return await super().commit(commits, demand)
        self._seen |= turns
        return Committed(tuple(Receipt(Outcome.FENCED) for _ in commits))


async def test_turns_that_are_taken_again_make_no_second_span(scene: Scene) -> None:
    """They are fenced; or the answer of a commit is lost, and it is repeated."""
    client, store = await scene.open(), OftenFenced(scene.hub, "w1")
    await scene.add("w1", store=store)
    store.lose_next = "commit"
    handle = await client.start(gives_up, instance_id="one")
    await client.raise_event("one", "Go")
    await handle.result(timeout=10)
    await (await client.start(retries, 1)).result(timeout=10)
    await scene.until_exported("orchestration:gives_up", "orchestration:waits", "orchestration:retries")
    assert {turn.result for fact in scene.told(TurnsTaken) for turn in fact.turns} == {"ok", "fenced"}
    assert Counter(span.name for span in scene.exported.spans) == {
        "create_orchestration:gives_up": 1,
        "orchestration:gives_up": 1,
        "orchestration_event:Go": 1,
        "event:Go": 1,
        "timer": 1,
        "sub_orchestration:waits": 1,
        "orchestration:waits": 1,
        "create_orchestration:retries": 1,
        "orchestration:retries": 1,
        "activity:fails": 2,
    }
    assert len({span.id for span in scene.exported.spans}) == len(scene.exported.spans)


async def test_bad_contexts_harm_nothing(scene: Scene) -> None:
    """A context in the wire form is not checked again before it is used."""
    client = await scene.open("w1")
    handle = await client.start(gives_up, instance_id="one")
    await scene.send("one", RaiseEvent(name="Go", trace=Trace("rubbish", "\x00")))
    assert await handle.result(timeout=10) == "given up"
    await scene.until_exported("orchestration:gives_up")
    assert scene.exported.one("event:Go").links == []


def test_nothing_to_instrument() -> None:
    with pytest.raises(CallerError, match="pass clients and workers"):
        instrument()


class Unsound(Sampler):
    """A sampler with a defect."""

    def should_sample(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("a defect")

    def get_description(self) -> str:
        return "unsound"


async def test_a_defect_of_the_tracing_harms_no_work(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(Exported(Unsound()))
    client = await scene.open("w1")
    _, own, _ = await (await client.start(hello, "Ada", instance_id="one")).result(timeout=10)
    await client.raise_event("two", "Go")
    await scene.send("one", RaiseEvent(name="Go"))
    await scene.close()
    assert (own, scene.exported.spans) == ("", [])
    assert {record.getMessage() for record in caplog.records if record.name == "redurable.tracing"} == {
        "a span cannot be made",
        "a trace cannot begin",
    }


async def test_errors_of_the_client_are_in_its_span(scene: Scene) -> None:
    client = await scene.open()
    await client.start(hello, "Ada", instance_id="one")
    with pytest.raises(InstanceAlreadyExists):
        await client.start(hello, "Ada", instance_id="one")
    first, second = scene.exported.named("create_orchestration:hello")
    assert (first.failed, second.failed) == (False, True)
    assert second.said[0]["attributes"]["exception.type"].endswith("InstanceAlreadyExists")
