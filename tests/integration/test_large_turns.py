"""Turns that move much data, on real servers: a commit as large as the default allows is made, a larger one never is,
and many large results are read in several turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from redurable import App, Client, OrchestrationContext, OrchestrationFailed, Worker
from redurable.settings import WorkerSettings
from redurable.store.redis.store import RedisStore
from tests.support.leftovers import assert_clean
from tests.support.servers import Server
from tests.support.working import working

MIB = 1024 * 1024
app = App("large")


@app.activity
async def measure(text: str) -> int:
    return len(text)


@app.activity
async def make(size: int) -> str:
    return "y" * size


@app.orchestrator
async def give(ctx: OrchestrationContext, count: int, size: int) -> int:
    """One step with so many payloads."""
    text = "x" * size
    return sum(await asyncio.gather(*(ctx.call_activity(measure, text) for _ in range(count))))


@app.orchestrator
async def take(ctx: OrchestrationContext, count: int, size: int) -> int:
    """As many results."""
    return sum(map(len, await asyncio.gather(*(ctx.call_activity(make, size) for _ in range(count)))))


@pytest.fixture
async def client(server: Server, hub: str, store: RedisStore) -> AsyncIterator[Client]:
    """A client of a hub where a worker runs whose turns may make 8 MiB of payloads."""
    settings = WorkerSettings(max_turn_bytes=8 * MIB)
    async with working(Worker(app, server.url, hub=hub, settings=settings)), Client.from_store(store) as opened:
        yield opened


async def test_a_step_at_the_limit_is_committed_and_one_over_it_fails(client: Client, store: RedisStore) -> None:
    within = await client.start(give, 8, MIB - 2, instance_id="within")
    assert await within.result(timeout=30) == 8 * (MIB - 2)
    over = await client.start(give, 9, MIB - 2, instance_id="over")
    with pytest.raises(OrchestrationFailed, match="9,437,184 bytes together, more than max_turn_bytes"):
        await over.result(timeout=30)
    await assert_clean(store)


async def test_large_results_that_arrive_together_are_read_in_several_turns(client: Client, store: RedisStore) -> None:
    many = await client.start(take, 40, MIB - 2, instance_id="many")
    assert await many.result(timeout=60) == 40 * (MIB - 2)
    await assert_clean(store)
