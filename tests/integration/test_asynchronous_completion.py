"""Activities that somebody else completes, by whole workers on real servers: in time, late, twice, by any client."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from redurable import (
    ActivityContext,
    ActivityFailed,
    App,
    AttemptNotFound,
    Client,
    InvalidToken,
    OrchestrationContext,
    RetryAfter,
    RetryPolicy,
    Worker,
)
from redurable.client import PendingActivity
from redurable.core.events import ActivityCompleted, AttemptRow, HistoryRow
from redurable.core.tokens import read_token, write_token
from redurable.settings import WorkerSettings
from redurable.store.redis.store import RedisStore
from tests.support.leftovers import assert_clean
from tests.support.processes import until
from tests.support.servers import Server
from tests.support.working import working

QUICK = WorkerSettings(
    instance_lease_ms=2_000, task_lease_ms=2_000, renew_every_ms=50, reclaim_every_ms=100, heartbeat_every_ms=100
)
HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=20)
AMPLE = 1.5
"""A limit in seconds within which a busy machine does what a test wants done in time."""

app = App("later", default_retry=RetryPolicy(max_attempts=2, initial_interval=MOMENT))
tokens: asyncio.Queue[str] = asyncio.Queue()
seen: list[tuple[int, Any]] = []
hold_up: list[asyncio.Event] = []


@app.activity
async def ask_a_person(question: str) -> object:
    context = ActivityContext.current()
    seen.append((context.attempt, context.last_heartbeat))
    tokens.put_nowait(context.complete_later())
    for event in hold_up:
        await event.wait()
    return "means nothing"


@app.activity
def ask_in_a_thread(question: str) -> object:
    context = ActivityContext.current()
    token = context.complete_later()
    if context.attempt == 1:
        raise ValueError(token)
    return LOOPS[0].call_soon_threadsafe(tokens.put_nowait, token)


LOOPS: list[asyncio.AbstractEventLoop] = []


@app.orchestrator
async def ask(ctx: OrchestrationContext, name: str, limit: str = "", seconds: float = 0) -> str:
    spans = {f"{limit}_timeout": timedelta(seconds=seconds)} if limit else {}
    activity = {"person": ask_a_person, "thread": ask_in_a_thread}[name].options(**spans)  # pyright: ignore[reportArgumentType]
    try:
        return str(await ctx.call_activity(activity, "Really?"))
    except ActivityFailed as error:
        return f"{type(error).__name__} {error.type} {error.attempts}"


class Crew:
    """A client, and workers that come and go."""

    def __init__(self, server: Server, client: Client, stack: AsyncExitStack) -> None:
        self.client = client
        self._server = server
        self._stack = stack

    async def add(self, hub: str, **options: Any) -> Worker:
        worker = Worker(app, self._server.url, hub=hub, settings=QUICK, **options)
        return await self._stack.enter_async_context(working(worker))

    async def token(self) -> str:
        return await asyncio.wait_for(tokens.get(), 10)

    async def pending(self, instance: str = "one") -> PendingActivity:
        status = await self.client.get_status(instance, show_activities=True)
        assert status.pending_activities is not None
        (call,) = status.pending_activities
        return call

    async def until_state(self, state: str) -> PendingActivity:
        async def reached() -> bool:
            return (await self.pending()).state == state

        await until(reached, f"the call is {state}")
        return await self.pending()

    async def rows(self, instance: str = "one") -> list[str]:
        return [short(row) for row in await self.client.get_history(instance) if hasattr(row, "seq")]


def short(row: HistoryRow) -> str:
    name = type(row).__name__.removeprefix("Activity")
    return f"{name} {row.attempt}" if isinstance(row, AttemptRow) else name


@pytest.fixture
async def crew(server: Server, store: RedisStore) -> AsyncIterator[Crew]:
    global tokens
    tokens = asyncio.Queue()
    LOOPS[:] = [asyncio.get_running_loop()]
    seen.clear()
    hold_up.clear()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client.from_store(store))
        yield Crew(server, client, stack)
        await assert_clean(store)


async def test_it_is_completed_once_by_whoever_has_the_token(crew: Crew, hub: str) -> None:
    worker = await crew.add(hub)
    handle = await crew.client.start(ask, "person", instance_id="one")
    token = await crew.token()
    call = await crew.until_state("handed-over")
    assert (call.name, call.attempt, call.worker, call.next_attempt_at) == ("ask_a_person", 1, worker.id, None)
    worker.stop()
    await crew.add(hub)
    await crew.client.complete_activity(token, {"yes": [1, 2**70]})
    assert await handle.result(timeout=10) == str({"yes": [1, 2**70]})
    assert await crew.rows() == ["Scheduled", "Started 1", "Completed"]
    (completed,) = [row for row in await crew.client.get_history("one") if isinstance(row, ActivityCompleted)]
    assert completed.worker == worker.id
    with pytest.raises(AttemptNotFound, match=r"one:.*:1: no attempt with this token is under way"):
        await crew.client.complete_activity(token, 1)


async def test_wrong_tokens_are_clear_errors(crew: Crew, hub: str) -> None:
    await crew.add(hub)
    handle = await crew.client.start(ask, "person", instance_id="one")
    token = await crew.token()
    named = read_token(token)
    for text, words in (
        ("", "does not begin with 'rd1'"),
        ("rd2.abc", "does not begin with 'rd1'"),
        (f"{token[:-9]}", "is no token"),
        (write_token(type(named)("other-hub", "one", "x", 1, 1, "default", "1-1")), "is of hub 'other-hub'"),
    ):
        with pytest.raises(InvalidToken, match=words):
            await crew.client.complete_activity(text, 1)
    for forged in (
        type(named)(hub, "none", named.execution, 1, 1, "default", named.entry),
        type(named)(hub, "one", named.execution, 2, 1, "default", named.entry),
        type(named)(hub, "one", named.execution, 1, 1, "default", "5-5"),
        type(named)(hub, "one", named.execution, 1, 1, "elsewhere", "x"),
    ):
        with pytest.raises(AttemptNotFound):
            await crew.client.fail_activity(write_token(forged), ValueError("no"))
    await crew.client.complete_activity(token, "yes")
    assert await handle.result(timeout=10) == "yes"


async def test_it_may_be_completed_while_its_function_runs(crew: Crew, hub: str) -> None:
    hold_up.append(asyncio.Event())
    await crew.add(hub)
    handle = await crew.client.start(ask, "person", instance_id="one")
    token = await crew.token()
    assert (await crew.until_state("running")).worker
    await crew.client.heartbeat_activity(token, 5)
    await crew.client.complete_activity(token, "early")
    assert await handle.result(timeout=10) == "early"
    hold_up[0].set()


async def test_a_failure_is_tried_again_as_the_policy_says(crew: Crew, hub: str) -> None:
    await crew.add(hub)
    handle = await crew.client.start(ask, "person", instance_id="one")
    first = await crew.token()
    await crew.until_state("handed-over")
    await crew.client.heartbeat_activity(first, {"asked": 3})
    await crew.client.fail_activity(first, RetryAfter(MOMENT, "not yet"))
    second = await crew.token()
    call = await crew.until_state("handed-over")
    assert call.attempt == 2
    assert call.last_failure is not None
    assert (call.last_failure.type, call.last_failure.message) == ("RetryAfter", "not yet")
    with pytest.raises(AttemptNotFound):
        await crew.client.complete_activity(first, "too late")
    await crew.client.fail_activity(second, ValueError("no"))
    assert await handle.result(timeout=10) == "ActivityFailed ValueError 2"
    assert seen == [(1, None), (2, {"asked": 3})]
    assert await crew.rows() == ["Scheduled", "Started 1", "AttemptFailed 1", "Started 2", "Failed"]


async def test_a_failure_may_be_final_and_a_function_may_fail_by_itself(crew: Crew, hub: str) -> None:
    await crew.add(hub)
    handle = await crew.client.start(ask, "thread", instance_id="one")
    await crew.client.fail_activity(await crew.token(), OSError("gone"), retryable=False)
    assert await handle.result(timeout=10) == "ActivityFailed OSError 2"
    assert await crew.rows() == ["Scheduled", "Started 1", "AttemptFailed 1", "Started 2", "Failed"]


async def test_its_time_runs_out_without_its_worker(crew: Crew, hub: str) -> None:
    worker = await crew.add(hub)
    handle = await crew.client.start(ask, "person", "start_to_close", AMPLE, instance_id="one")
    first = await crew.token()
    await crew.until_state("handed-over")
    worker.stop()
    await crew.add(hub)
    second = await crew.token()
    with pytest.raises(AttemptNotFound):
        await crew.client.complete_activity(first, "too late")
    await crew.client.complete_activity(second, "in time")
    assert await handle.result(timeout=10) == "in time"
    assert await crew.rows() == ["Scheduled", "Started 1", "AttemptTimedOut 1", "Started 2", "Completed"]


async def test_heartbeats_keep_it_alive_and_their_absence_ends_it(crew: Crew, hub: str) -> None:
    await crew.add(hub)
    handle = await crew.client.start(ask, "person", "heartbeat", AMPLE, instance_id="one")
    token = await crew.token()
    await crew.until_state("handed-over")
    for number in itertools.count():
        await crew.client.heartbeat_activity(token, number)
        if number == 10:
            break
        await asyncio.wait([asyncio.get_running_loop().create_task(tokens.get())], timeout=0.2)
    assert seen == [(1, None)]
    await until(lambda: len(seen) == 2, "the next attempt begins")
    assert seen[1] == (2, 10)
    assert await handle.result(timeout=10) == "HeartbeatTimeout HeartbeatTimeout 2"


async def test_the_limit_of_the_call_holds(crew: Crew, hub: str) -> None:
    await crew.add(hub)
    handle = await crew.client.start(ask, "person", "schedule_to_close", AMPLE, instance_id="one")
    token = await crew.token()
    assert await handle.result(timeout=10) == "ScheduleToCloseTimeout ScheduleToCloseTimeout 0"
    with pytest.raises(AttemptNotFound):
        await crew.client.complete_activity(token, 1)


async def test_it_goes_with_its_instance(crew: Crew, hub: str) -> None:
    await crew.add(hub)
    handle = await crew.client.start(ask, "person", instance_id="one")
    token = await crew.token()
    await crew.until_state("handed-over")
    await crew.client.terminate("one")
    with pytest.raises(Exception, match="was terminated"):
        await handle.result(timeout=10)
    with pytest.raises(AttemptNotFound):
        await crew.client.complete_activity(token, 1)


async def test_any_redis_client_completes_it(crew: Crew, hub: str, store: RedisStore) -> None:
    await crew.add(hub)
    handle = await crew.client.start(ask, "person", instance_id="one")
    intake = f"rd:{{{hub}}}:intake"
    first = await crew.token()
    await crew.until_state("handed-over")
    await store.lane.call("XADD", intake, "*", "heartbeat", first, "details", "[7]")
    await store.lane.call("XADD", intake, "*", "fail", first, "error", "Declined", "message", "no funds")
    second = await crew.token()
    await store.lane.call("XADD", intake, "*", "complete", second, "result", '"paid"')
    assert await handle.result(timeout=10) == "paid"
    assert seen == [(1, None), (2, [7])]
    await store.lane.call("XADD", intake, "*", "complete", second, "result", '"twice"')

    async def dead() -> bool:
        return bool(await store.lane.call("XLEN", f"rd:{{{hub}}}:dead"))

    await until(dead, "the late one is a dead letter")
    ((_, flat),) = await store.lane.call("XRANGE", f"rd:{{{hub}}}:dead", "-", "+")
    letter = dict(zip(flat[::2], flat[1::2], strict=True))
    assert b"no attempt with this token is under way" in letter[b"reason"]
    assert (letter[b"complete"], letter[b"result"]) == (second.encode(), b'"twice"')
    await store.lane.call("DEL", f"rd:{{{hub}}}:dead")
