"""Retries and limits by whole workers on real servers: what clients see, and that nothing is left in the store."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from redurable import (
    App,
    Backoff,
    Client,
    ExecutionTimedOut,
    HistoryLimitExceeded,
    OrchestrationContext,
    OrchestrationFailed,
    RetryAfter,
    RetryPolicy,
    RuntimeStatus,
    SubOrchestrationFailed,
    Worker,
)
from redurable.core.events import ActivityAttemptFailed, AttemptRow, ExecutionFailed
from redurable.settings import WorkerSettings
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore
from tests.support.leftovers import assert_clean
from tests.support.processes import until
from tests.support.servers import Server
from tests.support.working import working

SHORT = WorkerSettings(max_history_events=64, park_min_ms=50, park_max_ms=100)
HOUR = timedelta(hours=1)
SOON = timedelta(milliseconds=300)
AMPLE = timedelta(milliseconds=1_500)
"""In that time even a busy machine takes a few turns."""
MOMENT = timedelta(milliseconds=10)

app = App("limits")
stranger = App("limits")
calls: list[str] = []


@app.activity(retry=RetryPolicy(max_attempts=3, initial_interval=MOMENT, backoff=Backoff.LINEAR, jitter=0.5))
async def troubled(until_attempt: int) -> int:
    calls.append("troubled")
    if len(calls) == 2:
        raise RetryAfter(HOUR if until_attempt > 3 else MOMENT) from OSError("busy")
    if len(calls) < until_attempt:
        raise ValueError("not yet")
    return len(calls)


@app.activity(
    retry=RetryPolicy(max_attempts=10**6, initial_interval=MOMENT, backoff=Backoff.FIXED, retry_timeout=AMPLE)
)
async def hopeless() -> None:
    calls.append("hopeless")
    raise ValueError("never")


@app.orchestrator
async def call(ctx: OrchestrationContext, name: str, argument: int = 0) -> object:
    return await ctx.call_activity(troubled, argument) if name == "troubled" else await ctx.call_activity(hopeless)


@app.orchestrator
async def wait(ctx: OrchestrationContext) -> None:
    await ctx.wait_for_external_event("Go")


@app.orchestrator
async def go_on(ctx: OrchestrationContext, rounds: int = 0) -> None:
    await ctx.create_timer(timedelta(milliseconds=50))
    ctx.continue_as_new(rounds + 1)


@app.orchestrator
async def parent(ctx: OrchestrationContext) -> str:
    try:
        await ctx.call_sub_orchestrator(wait, instance_id="child", execution_timeout=SOON)
    except SubOrchestrationFailed as error:
        return error.type
    return "?"


@app.orchestrator
async def listen(ctx: OrchestrationContext, sensible: bool, heard: int = 0) -> int:
    while await ctx.wait_for_external_event("Tick", str) != "stop":
        heard += 1
        if sensible and ctx.continue_as_new_suggested:
            ctx.continue_as_new(sensible, heard)
    return heard


class Crew:
    """A client, and workers that come and go."""

    def __init__(self, server: Server, client: Client, stack: AsyncExitStack) -> None:
        self.client = client
        self._server = server
        self._stack = stack

    async def add(self, hub: str, app: App = app, **options: Any) -> Worker:
        worker = Worker(app, self._server.url, hub=hub, settings=SHORT, **options)
        return await self._stack.enter_async_context(working(worker))


@pytest.fixture
async def crew(server: Server, store: RedisStore) -> AsyncIterator[Crew]:
    calls.clear()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client.from_store(store))
        yield Crew(server, client, stack)
        await assert_clean(store)


async def test_attempts_and_their_failures_are_seen_while_they_happen(crew: Crew, hub: str) -> None:
    await crew.add(hub)
    await crew.client.start(call, "troubled", 9, instance_id="one")

    async def third() -> bool:
        found = await crew.client.get_status("one", show_activities=True)
        return any(pending.attempt == 3 for pending in found.pending_activities or ())

    await until(third, "the third attempt waits")
    status = await crew.client.get_status("one", show_activities=True)
    assert status.pending_activities is not None
    (pending,) = status.pending_activities
    assert (pending.name, pending.state) == ("troubled", "retrying")
    assert pending.last_failure is not None
    assert pending.last_failure.type == "RetryAfter"
    assert pending.next_attempt_at is not None
    assert HOUR - timedelta(minutes=1) < pending.next_attempt_at - datetime.now(UTC) <= HOUR
    await crew.client.terminate("one")
    await until(lambda: finished(crew), "it is over")


async def finished(crew: Crew) -> bool:
    return (await crew.client.get_status("one")).runtime_status.finished


async def test_attempts_are_in_the_history_with_their_failures(crew: Crew, hub: str) -> None:
    await crew.add(hub)
    handle = await crew.client.start(call, "troubled", 3, instance_id="one")
    assert await handle.result(timeout=10) == 3
    rows = [row for row in await crew.client.get_history("one") if isinstance(row, AttemptRow)]
    failures = [row.failure for row in rows if isinstance(row, ActivityAttemptFailed)]
    assert [failure.type for failure in failures if failure] == ["ValueError", "RetryAfter"]
    assert [type(row).__name__ for row in rows].count("ActivityStarted") == 3


async def test_the_retry_timeout_ends_a_policy_that_does_not(crew: Crew, hub: str) -> None:
    await crew.add(hub)
    handle = await crew.client.start(call, "hopeless", instance_id="one")
    with pytest.raises(OrchestrationFailed, match="ValueError: never"):
        await handle.result(timeout=10)
    assert 2 < len(calls) <= 1_500 / 10 + 1  # At most one every 10 ms; a machine that is busy makes fewer.


async def test_an_execution_timeout_ends_the_instance(crew: Crew, hub: str) -> None:
    await crew.add(hub)
    handle = await crew.client.start(wait, instance_id="one", execution_timeout=SOON)
    with pytest.raises(ExecutionTimedOut, match="did not end within its execution_timeout") as raised:
        await handle.result(timeout=10)
    assert raised.value.type == "ExecutionTimedOut"
    started, end = await crew.client.get_history("one")
    assert isinstance(end, ExecutionFailed)
    assert 300 <= end.at - started.at < 10_000
    await crew.client.raise_event("unborn", "Go")  # An end in time takes the timer away: see the fixture.
    quick = await crew.client.start(wait, instance_id="unborn", execution_timeout=HOUR)
    await quick.result(timeout=10)


async def test_an_execution_timeout_counts_through_continue_as_new(crew: Crew, hub: str) -> None:
    await crew.add(hub)
    handle = await crew.client.start(go_on, instance_id="one", execution_timeout=AMPLE)
    with pytest.raises(ExecutionTimedOut):
        await handle.result(timeout=10)
    assert len(await crew.client.list_executions("one")) > 2


async def test_children_have_an_execution_timeout_of_their_own(crew: Crew, hub: str) -> None:
    await crew.add(hub)
    handle = await crew.client.start(parent, instance_id="one")
    assert await handle.result(timeout=10) == "ExecutionTimedOut"
    assert (await crew.client.get_status("child")).runtime_status is RuntimeStatus.FAILED


async def test_an_execution_timeout_needs_no_code(crew: Crew, hub: str) -> None:
    worker = await crew.add(hub)
    handle = await crew.client.start(wait, instance_id="one", execution_timeout=SOON)
    await until(lambda: begun(crew), "it runs")
    worker.stop()
    await crew.add(hub, stranger)
    with pytest.raises(ExecutionTimedOut):
        await handle.result(timeout=10)


async def begun(crew: Crew) -> bool:
    return (await crew.client.get_status("one")).runtime_status is not RuntimeStatus.PENDING


async def test_a_history_that_becomes_too_long_fails_whole(
    crew: Crew, hub: str, foreign: Lane, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "redurable")
    await crew.add(hub)
    handle = await crew.client.start(listen, False, instance_id="one")
    for number in range(63):
        await crew.client.raise_event("one", "Tick", str(number))

    async def full() -> bool:
        return len(await crew.client.get_history("one")) == 64

    await until(full, "the history is full")
    assert (await crew.client.get_status("one")).runtime_status is RuntimeStatus.RUNNING
    await crew.client.raise_event("one", "Tick", "one too many")
    with pytest.raises(HistoryLimitExceeded, match="max_history_events is 64"):
        await handle.result(timeout=10)
    history = await crew.client.get_history("one")
    assert len(history) == 65
    told = [record for record in caplog.records if "a fifth of max_history_events (64)" in record.getMessage()]
    assert len(told) == 1
    letters = f"rd:{{{hub}}}:dead"

    async def buried() -> bool:
        return await foreign.call("XLEN", letters) == 1

    await until(buried, "the event that was refused is a dead letter")
    await foreign.call("DEL", letters)


async def test_continuing_as_new_when_it_is_suggested_never_meets_the_cap(crew: Crew, hub: str) -> None:
    worker = await crew.add(hub)
    handle = await crew.client.start(listen, True, instance_id="one")
    for number in range(200):
        if number == 100:
            worker.stop()
            await crew.add(hub)
        await crew.client.raise_event("one", "Tick", str(number))
    await crew.client.raise_event("one", "Tick", "stop")
    assert await handle.result(timeout=20) == 200
    assert len(await crew.client.list_executions("one")) > 5
