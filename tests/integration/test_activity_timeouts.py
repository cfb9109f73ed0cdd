"""Timeouts and heartbeats of activities by whole workers on real servers: what the orchestrator gets, what the history
shows, and that nothing is left in the store."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import anyio
import pytest
from msgspec import Raw
from msgspec.structs import replace

from redurable import ActivityContext, ActivityFailed, App, Client, OrchestrationContext, RetryPolicy, Worker
from redurable.core.events import AttemptRow, HistoryRow
from redurable.settings import WorkerSettings
from redurable.store.port import TaskDemand
from redurable.store.redis import commits
from redurable.store.redis.store import RedisStore
from tests.support.leftovers import assert_clean
from tests.support.processes import until
from tests.support.servers import Server
from tests.support.working import working

SOON = 0.2
"""A limit in seconds within which nothing has to be done."""
AMPLE = 1.5
"""What a worker does on a busy machine within its limit must be done in that time."""
QUICK = WorkerSettings(
    instance_lease_ms=2_000, task_lease_ms=2_000, renew_every_ms=50, reclaim_every_ms=100, heartbeat_every_ms=100
)


class Plan:
    """What the activity does, and what its attempts saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, Any]] = []
        self.stop = threading.Event()


plan = Plan()
app = App("timeouts", default_retry=RetryPolicy(max_attempts=2, initial_interval=timedelta(milliseconds=20)))


@app.activity
async def slow(good_attempt: int) -> str:
    """Does not end, except in its good attempt."""
    context = ActivityContext.current()
    plan.seen.append((context.attempt, context.last_heartbeat))
    context.heartbeat({"line": context.attempt})
    if context.attempt != good_attempt:
        await anyio.sleep_forever()
    return "done"


@app.activity
def slow_thread(good_attempt: int) -> str:
    """The same in a thread."""
    context = ActivityContext.current()
    plan.seen.append((context.attempt, context.last_heartbeat))
    context.heartbeat({"line": context.attempt})
    while context.attempt != good_attempt and not context.cancelled and not plan.stop.wait(0.01):
        pass
    return "done"


@app.activity
async def fails_once() -> str:
    context = ActivityContext.current()
    plan.seen.append((context.attempt, context.last_heartbeat))
    if context.attempt == 1:
        context.heartbeat(["half", "done"])
        raise OSError("the connection broke")
    return "done"


@app.orchestrator
async def ask(ctx: OrchestrationContext, name: str, good_attempt: int, limits: dict[str, float]) -> str:
    activities = {"slow": slow, "slow_thread": slow_thread}
    spans = {f"{limit}_timeout": timedelta(seconds=seconds) for limit, seconds in limits.items()}
    call = activities[name].options(**spans)  # pyright: ignore[reportArgumentType]
    try:
        return await ctx.call_activity(call, good_attempt)
    except ActivityFailed as error:
        return f"{type(error).__name__} {error.attempts}"


@app.orchestrator
async def resume(ctx: OrchestrationContext) -> str:
    return await ctx.call_activity(fails_once)


@pytest.fixture(autouse=True)
def fresh_plan() -> None:
    global plan
    plan = Plan()


@pytest.fixture
def patient_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The durable timer of a call comes so much later that a busy worker, which knows more, is always heard first."""
    monkeypatch.setattr(commits, "GRACE_MS", 10_000)


class Crew:
    """Workers and a client of one hub."""

    def __init__(self, server: Server, client: Client, stack: AsyncExitStack) -> None:
        self.client = client
        self._server = server
        self._hub = ""
        self._stack = stack

    async def add(self, hub: str, **options: Any) -> Worker:
        worker = Worker(app, self._server.url, hub=hub, settings=QUICK, **options)
        return await self._stack.enter_async_context(working(worker))

    async def rows(self, instance: str) -> list[str]:
        """Activities in the history, in short."""
        return [short(row) for row in await self.client.get_history(instance) if hasattr(row, "seq")]


def short(row: HistoryRow) -> str:
    name = type(row).__name__.removeprefix("Activity")
    return f"{name} {row.attempt}" if isinstance(row, AttemptRow) else name


@pytest.fixture
async def crew(server: Server, store: RedisStore) -> AsyncIterator[Crew]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client.from_store(store))
        yield Crew(server, client, stack)
        plan.stop.set()
        await assert_clean(store)


@pytest.mark.parametrize("name", ["slow", "slow_thread"])
@pytest.mark.parametrize("limit", ["start_to_close", "heartbeat"])
async def test_an_attempt_that_times_out_is_made_again(crew: Crew, hub: str, name: str, limit: str) -> None:
    worker = await crew.add(hub)
    handle = await crew.client.start(ask, name, 2, {limit: AMPLE}, instance_id="one")
    assert await handle.result(timeout=10) == "done"
    assert plan.seen == [(1, None), (2, {"line": 1})]
    assert await crew.rows("one") == ["Scheduled", "Started 1", "AttemptTimedOut 1", "Started 2", "Completed"]
    workers = [getattr(row, "worker", "") for row in await crew.client.get_history("one")]
    assert [name for name in workers if name] == [worker.id] * 3


@pytest.mark.parametrize(
    ("limit", "seconds", "error", "rows"),
    [
        ("start_to_close", SOON, "StartToCloseTimeout 2", ["Started 1", "AttemptTimedOut 1", "Started 2"]),
        ("heartbeat", SOON, "HeartbeatTimeout 2", ["Started 1", "AttemptTimedOut 1", "Started 2"]),
        ("schedule_to_close", AMPLE, "ScheduleToCloseTimeout 1", ["Started 1"]),
    ],
)
@pytest.mark.parametrize("name", ["slow", "slow_thread"])
@pytest.mark.usefixtures("patient_timers")
async def test_each_timeout_is_an_error_of_its_own(
    crew: Crew, hub: str, name: str, limit: str, seconds: float, error: str, rows: list[str]
) -> None:
    await crew.add(hub)
    handle = await crew.client.start(ask, name, 0, {limit: seconds}, instance_id="one")
    assert await handle.result(timeout=10) == error
    assert await crew.rows("one") == ["Scheduled", *rows, "Failed"]


@pytest.mark.parametrize("limit", ["schedule_to_start", "schedule_to_close"])
async def test_durable_timeouts_hold_where_nobody_runs_activities(crew: Crew, hub: str, limit: str) -> None:
    await crew.add(hub, roles={"orchestrations"})
    handle = await crew.client.start(ask, "slow", 0, {limit: SOON}, instance_id="one")
    name = {"schedule_to_start": "ScheduleToStartTimeout 0", "schedule_to_close": "ScheduleToCloseTimeout 0"}[limit]
    assert await handle.result(timeout=10) == name
    assert await crew.rows("one") == ["Scheduled", "Failed"]
    await crew.add(hub, roles={"activities"})  # It receives the task, and does not begin it.


async def test_another_worker_finds_the_timers_of_one_that_is_gone(crew: Crew, hub: str) -> None:
    first = await crew.add(hub, roles={"orchestrations"})
    handle = await crew.client.start(ask, "slow", 0, {"schedule_to_start": AMPLE}, instance_id="one")
    await until(lambda: scheduled(crew), "the activity is scheduled")
    first.stop()
    await crew.add(hub, roles={"orchestrations"})
    assert await handle.result(timeout=10) == "ScheduleToStartTimeout 0"
    await crew.add(hub, roles={"activities"})


async def scheduled(crew: Crew) -> bool:
    return len(await crew.client.get_history("one")) > 1


async def test_a_task_that_is_taken_over_is_the_next_attempt(crew: Crew, hub: str, other: RedisStore) -> None:
    """`w2` receives the task, says how far it is, and is not heard of again."""
    await crew.add(hub, roles={"orchestrations"})
    handle = await crew.client.start(ask, "slow", 2, {"start_to_close": AMPLE}, instance_id="one")
    (lease,) = await other.receive_tasks(TaskDemand(("default",), 1), 20_000)
    await other.renew([], [replace(lease, heartbeat=Raw(b'{"line":77}'))])
    heir = await crew.add(hub, roles={"activities"})
    assert await handle.result(timeout=10) == "done"
    assert plan.seen == [(2, {"line": 77})]
    assert await crew.rows("one") == ["Scheduled", "Started 1", "AttemptCrashed 1", "Started 2", "Completed"]
    started = [row for row in await crew.client.get_history("one") if type(row).__name__ == "ActivityStarted"]
    assert [getattr(row, "worker", "") for row in started] == ["w2", heir.id]


async def test_details_survive_a_failed_attempt(crew: Crew, hub: str) -> None:
    await crew.add(hub)
    handle = await crew.client.start(resume, instance_id="one")
    assert await handle.result(timeout=10) == "done"
    assert plan.seen == [(1, None), (2, ["half", "done"])]
    assert await crew.rows("one") == ["Scheduled", "Started 1", "AttemptFailed 1", "Started 2", "Completed"]
