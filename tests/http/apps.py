"""Orchestrators for the tests of the HTTP API."""

from __future__ import annotations

from datetime import timedelta

from redurable import App, OrchestrationContext, RetryPolicy

app = App("http")
ONCE = RetryPolicy(max_attempts=1)
broken: set[str] = set()
"""The keys for which `Stock` fails."""


@app.activity(name="Upper")
async def upper(text: str) -> str:
    return text.upper()


@app.activity(name="Stock", retry=ONCE)
async def stock(key: str) -> str:
    if key in broken:
        raise LookupError(f"no stock of {key}")
    return key


@app.orchestrator(name="Echo")
async def echo(ctx: OrchestrationContext, value: object = None) -> object:
    return value


@app.orchestrator(name="Hello")
async def hello(ctx: OrchestrationContext, name: str) -> str:
    ctx.set_custom_status({"step": 1})
    return await ctx.call_activity(upper, name)


@app.orchestrator(name="Order")
async def order(ctx: OrchestrationContext, key: str) -> str:
    return await ctx.call_activity(stock, key)


@app.orchestrator(name="Approval")
async def approval(ctx: OrchestrationContext) -> object:
    return await ctx.wait_for_external_event("Approval")


@app.orchestrator(name="Everything")
async def everything(ctx: OrchestrationContext, name: str) -> object:
    """One of each kind of event that Azure has a name for."""
    await ctx.call_activity(upper, name)
    await ctx.create_timer(ctx.current_utc_datetime + timedelta(milliseconds=1))
    greeting = await ctx.call_sub_orchestrator(hello, name, instance_id=f"{ctx.instance_id}-child")
    await ctx.wait_for_external_event("Go")
    await ctx.raise_event(f"{ctx.instance_id}-other", "Ping", {"n": 1})
    try:
        await ctx.call_activity(stock, "nothing")
    except Exception:
        return greeting
    return None
