"""Families of instances on real servers: trees over many partitions, failures on their way up, retries, taken ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import anyio
import pytest

from redurable import App, Client, InstanceNotFound, OrchestrationContext, OrchestrationFailed, RetryPolicy, Worker
from redurable.core.events import OrchestrationScheduled, SubOrchestrationScheduled
from redurable.core.ids import partition_of
from redurable.core.values import RuntimeStatus
from redurable.errors import SubOrchestrationFailed
from redurable.store.redis.store import redis_store
from tests.support.servers import Server
from tests.support.working import working

PARTITIONS = 64

app = App("family")


@app.activity(retry=RetryPolicy(max_attempts=1))
async def weigh(number: int) -> int:
    if number < 0:
        raise ValueError(f"a weight of {number}")
    return number


@app.orchestrator
async def tree(ctx: OrchestrationContext, levels: int, width: int) -> list[str]:
    """The ids of all instances of the tree."""
    if not levels:
        return [ctx.instance_id]
    below = (ctx.call_sub_orchestrator(tree, levels - 1, width) for _ in range(width))
    return [ctx.instance_id, *(name for names in await asyncio.gather(*below) for name in names)]


@app.orchestrator
async def descend(ctx: OrchestrationContext, levels: int) -> int:
    """Fails at the bottom."""
    if levels:
        return await ctx.call_sub_orchestrator(descend, levels - 1)
    return await ctx.call_activity(weigh, -1)


@app.orchestrator
async def fickle(ctx: OrchestrationContext, boss: str) -> str:
    """Fails until its boss tells it something else."""
    await ctx.raise_event(boss, "Begun", ctx.instance_id)
    if not await ctx.wait_for_external_event("Succeed", bool):
        raise RuntimeError(f"{ctx.instance_id} does not feel like it")
    return ctx.instance_id


@app.orchestrator
async def patient(ctx: OrchestrationContext, failures: int, name: str | None) -> list[str]:
    """Lets its child fail so many times; returns the ids of its attempts, and what came of it."""
    policy = RetryPolicy(max_attempts=3, initial_interval=timedelta(milliseconds=20), jitter=0.5)
    call = ctx.call_sub_orchestrator(fickle, ctx.instance_id, instance_id=name, retry=policy)
    seen: list[str] = []
    for attempt in range(min(failures + 1, 3)):
        seen.append(await ctx.wait_for_external_event("Begun", str))
        await ctx.raise_event(seen[-1], "Succeed", attempt == failures)
    return [*seen, await call]


@app.orchestrator
async def crowd(ctx: OrchestrationContext, taken: str) -> list[str]:
    """What becomes of children whose id is taken."""
    ctx.start_orchestration(tree, 0, 0, instance_id=taken)
    told: list[str] = []
    for name in (taken, ctx.instance_id):
        try:
            await ctx.call_sub_orchestrator(tree, 0, 0, instance_id=name, retry=RetryPolicy())
        except SubOrchestrationFailed as error:
            told += [error.type, error.message]
    return told


@app.orchestrator
async def hatch(ctx: OrchestrationContext) -> None:
    """Is over long before its detached children."""
    for number in range(3):
        options = tree.options(instance_id=f"egg-{number}", tags={"nest": ctx.instance_id})
        ctx.start_orchestration(options.options(delay=timedelta(milliseconds=50 * number)), 0, 0)


@pytest.fixture
async def client(server: Server, hub: str) -> AsyncIterator[Client]:
    """A client of a hub with many partitions, served by a worker."""
    store = redis_store(server.url, hub, partitions=PARTITIONS)
    await store.open()
    async with working(Worker(app, server.url, hub=hub)), Client.from_store(store) as opened:
        yield opened
    await store.close()


async def test_a_tree_of_three_levels_in_many_partitions(client: Client) -> None:
    handle = await client.start(tree, 2, 50, instance_id="root")
    names = await handle.result(timeout=50)
    assert len(set(names)) == len(names) == 1 + 50 + 50 * 50
    assert {partition_of(name, PARTITIONS) for name in names} == set(range(PARTITIONS))
    leaf = await client.get_status(names[-1])
    assert (leaf.instance_id, leaf.parent_instance_id) == ("root:50:50", "root:50")


async def test_a_failure_reaches_the_top_with_all_that_led_to_it(client: Client) -> None:
    handle = await client.start(descend, 3, instance_id="top")
    with pytest.raises(OrchestrationFailed) as failed:
        await handle.result(timeout=20)
    story: list[tuple[str, str]] = []
    failure = failed.value.failure
    while failure is not None:
        story.append((failure.type, failure.message))
        failure = failure.cause
    assert [kind for kind, _ in story] == [*["SubOrchestrationFailed"] * 3, "ActivityFailed", "ValueError"]
    assert story[-1][1] == "a weight of -1"
    assert story[0][1].count("descend failed: ") == 3
    below = await client.get_status("top:1:1")
    assert below.failure is not None
    assert [(below.failure.type, below.failure.message)] == story[2:3]


@pytest.mark.parametrize("name", [None, "kid"])
async def test_a_child_is_called_again_until_it_succeeds(client: Client, name: str | None) -> None:
    handle = await client.start(patient, 2, name, instance_id="boss")
    ids = await handle.result(timeout=20)
    history = await client.get_history("boss")
    attempts = [event for event in history if isinstance(event, SubOrchestrationScheduled)]
    assert [event.attempt for event in attempts] == [1, 2, 3]
    assert [event.instance for event in attempts] == ids[:3]
    assert ids[2:] == [ids[2]] * 2
    assert name is None or ids[:3] == ["kid", "kid:2", "kid:3"]
    ends = [(await client.get_status(event.instance)).runtime_status for event in attempts]
    assert ends == [RuntimeStatus.FAILED, RuntimeStatus.FAILED, RuntimeStatus.COMPLETED]


async def test_the_last_failure_of_a_child_says_how_many_there_were(client: Client) -> None:
    handle = await client.start(patient, 9, None, instance_id="boss")
    with pytest.raises(OrchestrationFailed, match="fickle failed after 3 attempts: RuntimeError: boss:") as failed:
        await handle.result(timeout=20)
    assert failed.value.cause is not None
    assert (failed.value.cause.type, failed.value.cause.attempts) == ("RuntimeError", 3)


async def test_a_taken_id_is_a_clear_failure(client: Client) -> None:
    await (await client.start(tree, 0, 0, instance_id="first")).result(timeout=20)
    handle = await client.start(crowd, "first", instance_id="second")
    text = "the sub-orchestration's instance id {!r} is taken"
    expected = [part for name in ("first", "second") for part in ("InstanceAlreadyExists", text.format(name))]
    assert await handle.result(timeout=20) == expected
    assert (await client.get_status("first")).parent_instance_id is None


async def test_detached_children_outlive_their_parent_and_begin_when_told(client: Client) -> None:
    await (await client.start(hatch, instance_id="nest")).result(timeout=20)
    planned = [event for event in await client.get_history("nest") if isinstance(event, OrchestrationScheduled)]
    for number, event in enumerate(planned):
        assert await _result(client, f"egg-{number}") == [f"egg-{number}"]
        status = await client.get_status(f"egg-{number}", show_history=True)
        assert (status.tags, status.parent_instance_id) == ({"nest": "nest"}, None)
        assert status.history is not None
        assert event.not_before == (event.at + 50 * number if number else 0)
        assert status.history[0].at >= event.not_before


async def _result(client: Client, instance: str) -> object:
    """The result of an instance that nobody has a handle of, and that may not be there yet."""
    with anyio.fail_after(20):
        while True:
            try:
                return await client.get_handle(instance).result()
            except InstanceNotFound:
                await anyio.sleep(0.01)
