"""What a context carries and sends, on real servers: tags and memo, and events from one instance to others."""

from __future__ import annotations

from typing import Any

from redurable import App, Client, OrchestrationContext, Worker
from redurable.settings import WorkerSettings
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore
from tests.support.processes import until
from tests.support.servers import Server

app = App("context")
COLD = WorkerSettings(cache_instances=1, lanes=1)
"""Several instances take turns in one place of the cache, so most turns replay from the beginning."""


@app.orchestrator
async def labelled(ctx: OrchestrationContext, left: int = 1) -> list[Any]:
    if left:
        await ctx.wait_for_external_event("Next")
        ctx.continue_as_new(left - 1)
    return [dict(ctx.tags), ctx.memo]


@app.orchestrator
async def tells(ctx: OrchestrationContext, others: list[str]) -> list[object]:
    for number in range(3):
        for other in [*others, ctx.instance_id]:
            await ctx.raise_event(other, "Said", [ctx.instance_id, number])
        await ctx.wait_for_external_event("Go on")
    return [await ctx.wait_for_external_event("Said") for _ in range(3)]


@app.orchestrator
async def hears(ctx: OrchestrationContext) -> list[object]:
    heard: list[object] = []
    while (said := await ctx.wait_for_external_event("Said")) != "enough":
        heard.append(said)
    return heard


async def test_tags_and_memo_stay_with_the_instance(server: Server, hub: str, store: RedisStore, foreign: Lane) -> None:
    memo = {"customer": {"id": 7}, "notes": ["é", None]}
    async with Worker(app, server.url, hub=hub, settings=COLD).running(), Client(server.url, hub=hub) as client:
        handle = await client.start(labelled, instance_id="one", tags={"tenant": "acme"}, memo=memo)
        plain = await client.start(labelled, 0)
        status = await client.get_status("one")
        assert (status.tags, status.memo) == ({"tenant": "acme"}, memo)
        await client.raise_event("one", "Next")
        assert await handle.result(timeout=10) == [{"tenant": "acme"}, memo]
        status = await client.get_status("one")
        assert (status.tags, status.memo, len(await client.list_executions("one"))) == ({"tenant": "acme"}, memo, 2)
        assert await plain.result(timeout=10) == [{}, None]
        assert (await client.get_status(plain.instance_id)).memo is None

        fields = ["instance", "two", "start", "labelled", "input", "0", "tags", '{"t": "x"}', "memo", "[1]"]
        await foreign.call("XADD", f"rd:{{{hub}}}:intake", "*", *fields)

        async def started() -> bool:
            return await store.get("two") is not None

        await until(started, "the intake was read")
        assert await client.get_handle("two").result(timeout=10) == [{"t": "x"}, [1]]


async def test_events_between_instances_arrive_exactly_once(server: Server, hub: str, store: RedisStore) -> None:
    async with Worker(app, server.url, hub=hub, settings=COLD).running(), Client(server.url, hub=hub) as client:
        known = await client.start(hears, instance_id="known")
        teller = await client.start(tells, ["known", "unknown"], instance_id="teller")
        for _ in range(3):
            await client.raise_event("teller", "Go on")
        said = [["teller", number] for number in range(3)]
        assert await teller.result(timeout=10) == said

        async def come() -> bool:
            waiting = await store.lane.call("XLEN", store.mailbox_key("unknown"))
            return len(await store.history("known")) > 3 and waiting == 3

        await until(come, "the events have come")
        unknown = await client.start(hears, instance_id="unknown")
        for handle in (known, unknown):
            await client.raise_event(handle.instance_id, "Said", "enough")
            assert await handle.result(timeout=10) == said
