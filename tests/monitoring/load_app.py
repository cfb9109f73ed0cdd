"""The application of the proof: patterns of the gallery, and orchestrators in which each rare fault can be provoked.

Gates are files beside the effects file: what happens is chosen from outside, and seen there.
"""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta

from examples import (
    error_handling,
    eternal_orchestration,
    fan_out_fan_in,
    function_chaining,
    hello,
    retry_gallery,
    saga,
)
from redurable import App, OrchestrationContext
from tests.acceptance.plant_app import gate

app = App("gallery")
for pattern in (hello, function_chaining, fan_out_fan_in, saga, error_handling, retry_gallery, eternal_orchestration):
    app.include(pattern.app)


@app.activity(task_queue="mail")
async def post(address: str) -> str:
    """A second task queue; it takes a moment."""
    await asyncio.sleep(0.05)
    return f"posted to {address}"


@app.activity
async def shout(size: int) -> str:
    """Returns so many letters: a payload that may be too large."""
    return "A" * size


@app.orchestrator
async def newsletter(ctx: OrchestrationContext, readers: int) -> int:
    """Many tasks in the second queue, through a sub-orchestration."""
    await asyncio.gather(*(ctx.call_activity(post, f"reader-{number}") for number in range(readers)))
    return await ctx.call_sub_orchestrator(count_down, 3)


@app.orchestrator
async def count_down(ctx: OrchestrationContext, seconds: int) -> int:
    """Durable timers, one after the other."""
    for _ in range(seconds):
        await ctx.create_timer(timedelta(milliseconds=100))
    return seconds


@app.orchestrator
async def boast(ctx: OrchestrationContext, size: int) -> str:
    """Fails when the payload is too large."""
    return await ctx.call_activity(shout, size)


@app.orchestrator
async def fickle(ctx: OrchestrationContext) -> str:
    """Nondeterministic: while the gate `fickle` is open, a replay decides otherwise."""
    await ctx.call_activity(hello.greet, "one" if gate("fickle").exists() else "another")
    return await ctx.wait_for_external_event("Go", str)


@app.orchestrator
async def detonate(ctx: OrchestrationContext) -> str:
    """Poison: ends its worker, until the gate `antidote` is open."""
    if not gate("antidote").exists():
        os._exit(13)
    return "harmless"


@app.orchestrator
async def toil(ctx: OrchestrationContext) -> str:
    """Whoever takes its turn first stands still in the midst of it."""
    try:
        gate("toil").touch(exist_ok=False)
    except FileExistsError:
        return "taken over"
    os.kill(os.getpid(), signal.SIGSTOP)
    return "late"
