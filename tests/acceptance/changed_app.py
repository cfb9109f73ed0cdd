"""The orchestrations of the first application after a change that those which are running do not survive."""

from __future__ import annotations

from redurable import App, OrchestrationContext

app = App("plant")


@app.orchestrator
async def held(ctx: OrchestrationContext, name: str) -> list[str]:
    """The short activity before the gate is gone."""
    word = await ctx.call_activity("hold", name, result_type=str)
    await ctx.call_activity("step", 2, result_type=int)
    return [word]
