"""Cancellation by whole workers on real servers: clean-up, activities that stop, trees of children, foreign clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import anyio
import pytest

from redurable import (
    ActivityContext,
    App,
    Client,
    InstanceFinished,
    InstanceNotFound,
    OrchestrationCanceled,
    OrchestrationContext,
    OrchestrationTerminated,
    RuntimeStatus,
    Worker,
)
from redurable.authoring.policies import ParentCloseName
from redurable.client import Handle
from redurable.core.ids import partition_of
from redurable.settings import WorkerSettings
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore
from tests.support.leftovers import assert_clean
from tests.support.processes import until
from tests.support.servers import Server
from tests.support.working import working

NEVER_RENEWED = WorkerSettings(
    instance_lease_ms=60_000, task_lease_ms=60_000, renew_every_ms=3_600_000, reclaim_every_ms=100
)
"""No lease is renewed within a test: what is heard was not heard by renewing."""

app = App("cancellation")
seen: list[str] = []


@app.activity
async def work(name: str) -> None:
    seen.append(f"{name} begins")
    try:
        await asyncio.Event().wait()
    finally:
        assert ActivityContext.current().cancelled
        seen.append(f"{name} stops")


@app.activity
async def undo(name: str) -> None:
    seen.append(f"{name} undone")


@app.orchestrator
async def job(ctx: OrchestrationContext, name: str) -> None:
    try:
        await ctx.call_activity(work, name)
    except asyncio.CancelledError:
        await ctx.call_activity(undo, name)
        raise


@app.orchestrator
async def undo_it(ctx: OrchestrationContext, name: str) -> None:
    await ctx.call_activity(undo, name)


@app.orchestrator
async def tree(ctx: OrchestrationContext, depth: int, policy: str) -> None:
    if depth:
        child = f"{ctx.instance_id}/{depth}"
        close: ParentCloseName = "terminate" if policy == "terminate" else "cancel"
        await ctx.call_sub_orchestrator("tree", depth - 1, policy, instance_id=child, parent_close=close)
    else:
        await job.definition.function(ctx, ctx.instance_id)


@app.orchestrator
async def parent(ctx: OrchestrationContext) -> None:
    ctx.start_orchestration("job", "detached", instance_id="detached")
    ctx.call_sub_orchestrator("job", "abandoned", instance_id="abandoned", parent_close="abandon")
    ctx.call_sub_orchestrator("rounds", 1, instance_id="rounds")
    await ctx.wait_for_external_event("End")


@app.orchestrator
async def rounds(ctx: OrchestrationContext, number: int) -> None:
    if number < 3:
        ctx.continue_as_new(number + 1)
    await ctx.wait_for_external_event("never")


class Hub:
    """A client, and workers with connections of their own."""

    def __init__(self, server: Server, store: RedisStore, client: Client, stack: AsyncExitStack) -> None:
        self.server = server
        self.store = store
        self.client = client
        self._stack = stack

    async def work(self, **options: Any) -> Worker:
        """A worker that runs until the test ends."""
        options.setdefault("settings", NEVER_RENEWED)
        worker = Worker(app, self.server.url, hub=self.store.hub, **options)
        return await self._stack.enter_async_context(working(worker))

    async def is_(self, instance: str, status: RuntimeStatus) -> None:
        async def there() -> bool:
            try:
                return (await self.client.get_status(instance)).runtime_status is status
            except InstanceNotFound:
                return False

        await until(there, f"{instance} is {status}")


@pytest.fixture
async def crew(server: Server, store: RedisStore) -> AsyncIterator[Hub]:
    seen.clear()
    async with AsyncExitStack() as stack, Client(server.url, hub=store.hub) as client:
        yield Hub(server, store, client, stack)


async def has(condition: Callable[[], bool], what: str) -> None:
    async def look() -> bool:
        return condition()

    await until(look, what)


async def test_a_cancelled_instance_stops_its_activity_undoes_its_work_and_says_so(crew: Hub) -> None:
    await crew.work(roles={"orchestrations"})
    await crew.work(roles={"activities"})
    handle = await crew.client.start(job, "a", instance_id="a")
    await has(lambda: seen == ["a begins"], "the activity runs")
    await handle.cancel("no stock")
    with pytest.raises(OrchestrationCanceled, match=r"^job was cancelled \(instance 'a'\): no stock$") as canceled:
        await handle.result(10)
    assert (canceled.value.type, canceled.value.message) == ("OrchestrationCanceled", "no stock")
    await has(lambda: len(seen) == 3, "all has happened")
    assert sorted(seen) == ["a begins", "a stops", "a undone"]
    status = await crew.client.get_status("a")
    assert status.runtime_status is RuntimeStatus.CANCELED
    assert status.failure is not None
    assert status.failure.message == "no stock"
    for send in (handle.cancel, lambda: crew.client.cancel("a")):
        with pytest.raises(InstanceFinished, match="instance 'a' has finished"):
            await send()
    with pytest.raises(InstanceNotFound, match="no instance 'nobody'"):
        await crew.client.cancel("nobody")
    await assert_clean(crew.store)


async def test_terminate_stops_activities_and_runs_no_code(crew: Hub) -> None:
    await crew.work(roles={"orchestrations"})
    await crew.work(roles={"activities"})
    handle = await crew.client.start(job, "a", instance_id="a")
    await has(lambda: seen == ["a begins"], "the activity runs")
    await crew.client.terminate("a", "at once")
    with pytest.raises(OrchestrationTerminated):
        await handle.result(10)
    await has(lambda: seen == ["a begins", "a stops"], "the activity has stopped")
    await assert_clean(crew.store)


async def test_a_hub_in_which_nothing_is_cancelled_writes_nothing_of_the_kind(crew: Hub) -> None:
    await crew.work()
    handle = await crew.client.start("undo_it", "a", instance_id="a")
    await handle.result(10)
    keys = [crew.store.layout.partition(number) for number in range(crew.store.partitions)]
    names = [key for partition in keys for key in (partition.cancels, partition.canceled)]
    assert await crew.store.lane.call("EXISTS", *names) == 0


async def test_what_waits_in_its_queue_is_never_begun(crew: Hub) -> None:
    await crew.work(roles={"orchestrations"})
    handles: list[Handle[None]] = [await crew.client.start(job, name, instance_id=name) for name in "ab"]
    for name in "ab":
        await crew.is_(name, RuntimeStatus.RUNNING)
        await crew.client.terminate(name)
    for handle in handles:
        with pytest.raises(OrchestrationTerminated):
            await handle.result(10)
    await crew.work(roles={"activities"})
    await assert_clean(crew.store)
    assert seen == []


@pytest.mark.parametrize("policy", ["terminate", "cancel"])
async def test_a_tree_ends_with_its_root(crew: Hub, policy: str) -> None:
    names = ["root", "root/3", "root/3/2", "root/3/2/1"]
    assert len({partition_of(name, crew.store.partitions) for name in names}) > 1
    await crew.work()
    await crew.work()
    await crew.client.start(tree, 3, policy, instance_id="root")
    await has(lambda: seen == ["root/3/2/1 begins"], "the last child works")
    await crew.client.terminate("root", "enough")
    await crew.is_("root", RuntimeStatus.TERMINATED)
    for name in names[1:]:
        await crew.is_(name, RuntimeStatus.TERMINATED if policy == "terminate" else RuntimeStatus.CANCELED)
    failure = (await crew.client.get_status("root/3")).failure
    assert failure is not None
    assert failure.message == "its parent has ended"
    expected = 2 if policy == "terminate" else 3
    await has(lambda: len(seen) == expected, "the activity has stopped")
    await assert_clean(crew.store)


async def test_cancelling_the_root_cancels_the_children_that_are_awaited(crew: Hub) -> None:
    await crew.work()
    await crew.client.start(tree, 2, "terminate", instance_id="root")
    await has(lambda: seen == ["root/2/1 begins"], "the last child works")
    await crew.client.cancel("root")
    for name in ("root", "root/2", "root/2/1"):
        await crew.is_(name, RuntimeStatus.CANCELED)
    await has(lambda: "root/2/1 undone" in seen, "the work is undone")
    await assert_clean(crew.store)


async def test_who_is_no_open_child_is_left_alone_and_one_that_continued_as_new_is_reached(crew: Hub) -> None:
    await crew.work()
    other = await crew.client.start(rounds, 3, instance_id="other")
    await crew.client.start(parent, instance_id="parent")
    await has(lambda: len(seen) == 2, "both work")

    async def third_round() -> bool:
        try:
            return len(await crew.client.list_executions("rounds")) == 3
        except InstanceNotFound:
            return False

    await until(third_round, "the child has continued as new")
    await crew.is_("other", RuntimeStatus.RUNNING)
    await crew.client.raise_event("parent", "End")
    await crew.is_("parent", RuntimeStatus.COMPLETED)
    await crew.is_("rounds", RuntimeStatus.TERMINATED)
    for name in ("detached", "abandoned", "other"):
        assert (await crew.client.get_status(name)).runtime_status is RuntimeStatus.RUNNING
        await crew.client.terminate(name)
    with pytest.raises(OrchestrationTerminated):
        await other.result(10)
    await assert_clean(crew.store)


async def test_any_redis_client_may_cancel(crew: Hub, foreign: Lane) -> None:
    intake = crew.store.layout.hub.intake
    await crew.work()
    await crew.client.start(job, "a", instance_id="a")
    await crew.client.start(job, "b", instance_id="b")
    await has(lambda: len(seen) == 2, "both work")
    await foreign.call("XADD", intake, "*", "instance", "a", "cancel", "no stock", "id", "c-1")
    await foreign.call("XADD", crew.store.mailbox_key("b"), "*", "cancel", "no stock")
    await crew.is_("a", RuntimeStatus.CANCELED)
    await crew.is_("b", RuntimeStatus.CANCELED)
    await foreign.call("XADD", intake, "*", "instance", "nobody", "cancel", "no stock")
    await foreign.call("XADD", intake, "*", "instance", "a", "cancel", "too late")
    dead = crew.store.layout.hub.dead

    async def buried() -> bool:
        return await foreign.call("XLEN", dead) == 2

    await until(buried, "both are dead letters")
    letters = [
        dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in await foreign.call("XRANGE", dead, "-", "+")
    ]
    assert {(letter[b"reason"], letter[b"instance"], letter[b"cancel"]) for letter in letters} == {
        (b"no such instance", b"nobody", b"no stock"),
        (b"the instance has finished", b"a", b"too late"),
    }


async def test_a_delayed_start_that_is_cancelled_never_runs(crew: Hub) -> None:
    await crew.work()
    handle = await crew.client.start(job, "a", instance_id="a", delay=timedelta(hours=1))
    await crew.client.cancel("a", "not any more")
    with pytest.raises(OrchestrationCanceled, match="not any more"):
        await handle.result(10)
    assert seen == []
    assert (await crew.client.get_status("a")).input == "a"


async def test_a_suspended_instance_is_cancelled_when_it_is_resumed(crew: Hub) -> None:
    await crew.work()
    handle = await crew.client.start(job, "a", instance_id="a")
    await has(lambda: seen == ["a begins"], "the activity runs")
    await crew.client.suspend("a")
    await crew.is_("a", RuntimeStatus.SUSPENDED)
    await handle.cancel()

    async def recorded() -> bool:
        return type((await crew.client.get_history("a"))[-1]).__name__ == "ExecutionCancelRequested"

    await until(recorded, "the request is recorded")
    assert (await crew.client.get_status("a")).runtime_status is RuntimeStatus.SUSPENDED
    assert seen == ["a begins"]
    await crew.client.resume("a")
    with anyio.fail_after(10), pytest.raises(OrchestrationCanceled):
        await handle.result()
