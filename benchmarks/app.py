"""The user code of the workloads: as small as it can be, so that the figures are the engine's."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from redurable import App, OrchestrationContext

CITIES = ("Tokyo", "Seattle", "London")
WAITING = "waiting"

app = App("bench")


@app.activity
async def greet(name: str) -> str:
    return f"Hello {name}!"


@app.activity
async def successor(number: int) -> int:
    return number + 1


@app.activity
async def note_cancellation(path: str) -> None:
    """Makes the file, waits until it is cancelled, and writes down when it heard."""
    note(path, "")
    try:
        await asyncio.Event().wait()
    finally:
        note(path, str(time.monotonic()))


def note(path: str, text: str) -> None:
    """Replace what a file says."""
    Path(path).write_text(text)


@app.orchestrator
async def hello_sequence(ctx: OrchestrationContext) -> list[str]:
    """Three activities, one after the other."""
    return [await ctx.call_activity(greet, city) for city in CITIES]


@app.orchestrator
async def fan_out(ctx: OrchestrationContext, width: int) -> list[int]:
    """`width` activities at once."""
    return list(await asyncio.gather(*(ctx.call_activity(successor, number) for number in range(width))))


@app.orchestrator
async def chain(ctx: OrchestrationContext, length: int) -> int:
    """`length` activities, each with the result of the one before."""
    number = 0
    for _ in range(length):
        number = await ctx.call_activity(successor, number)
    return number


@app.orchestrator
async def child(ctx: OrchestrationContext, number: int) -> int:
    return await ctx.call_activity(successor, number)


@app.orchestrator
async def parent(ctx: OrchestrationContext, children: int) -> list[int]:
    """`children` sub-orchestrations at once."""
    return list(await asyncio.gather(*(ctx.call_sub_orchestrator(child, number) for number in range(children))))


@app.orchestrator
async def hold(ctx: OrchestrationContext, path: str) -> None:
    await ctx.call_activity(note_cancellation, path)


@app.orchestrator
async def wait_for_go(ctx: OrchestrationContext) -> int:
    return await ctx.wait_for_external_event("Go", int)


@app.orchestrator
async def collect(ctx: OrchestrationContext, count: int) -> list[int]:
    """So many events, in the order in which they came."""
    return [await ctx.wait_for_external_event("Go", int) for _ in range(count)]


@app.orchestrator
async def chain_then_wait(ctx: OrchestrationContext, events: int) -> int:
    """A history of so many events that is still open."""
    number = 0
    while ctx.history_length < events:
        number = await ctx.call_activity(successor, number)
    ctx.set_custom_status(WAITING)
    return number + await ctx.wait_for_external_event("Go", int)
