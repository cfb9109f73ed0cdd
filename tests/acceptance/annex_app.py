"""A second application on the hub of the first: other orchestrators, other activities, the same task queue."""

from __future__ import annotations

from redurable import App, OrchestrationContext
from redurable.demo.effects import record_effect

app = App("plant")


@app.activity
async def fetch(number: int) -> int:
    """Known to this application alone, in the queue that both serve."""
    record_effect("fetch")
    return number + 1


@app.orchestrator
async def errand(ctx: OrchestrationContext, length: int) -> int:
    """Known to this application alone."""
    number = 0
    for _ in range(length):
        number = await ctx.call_activity(fetch, number)
    return number


@app.orchestrator
async def delegate(ctx: OrchestrationContext, length: int) -> object:
    """A sub-orchestration of the other application."""
    return await ctx.call_sub_orchestrator("chain", length, instance_id=f"{ctx.instance_id}-chain")
