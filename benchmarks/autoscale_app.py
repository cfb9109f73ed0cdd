"""What the autoscaled workers run: activities that wait, so that capacity is slots and not cores, and leave a trace.

A line of the trace: the call's key, when it was scheduled and when it started, in seconds of the wall clock.
"""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

from redurable import ActivityContext, App, OrchestrationContext

TRACE_VARIABLE = "AUTOSCALE_TRACE"

app = App("autoscale")


@app.activity
async def carry(seconds: float, scheduled: float) -> float:
    _leave_trace(scheduled)
    await asyncio.sleep(seconds)
    return seconds


def _leave_trace(scheduled: float) -> None:
    line = f"{ActivityContext.current().idempotency_key}\t{scheduled}\t{time.time()}\n"
    with Path(os.environ[TRACE_VARIABLE]).open("ab", buffering=0) as trace:
        trace.write(line.encode())


@app.orchestrator
async def job(ctx: OrchestrationContext, number: int, seconds: float) -> int:
    """Two activities, one after the other."""
    for _ in range(2):
        await ctx.call_activity(carry, seconds, ctx.current_utc_datetime.timestamp())
    return 2 * number


@app.orchestrator
async def nap(ctx: OrchestrationContext, seconds: float) -> float:
    """Open, with a timer, while nothing is to be done; returns how many seconds too late it woke up."""
    due = ctx.current_utc_datetime.timestamp() + seconds
    await ctx.create_timer(timedelta(seconds=seconds))
    woken = ctx.current_utc_datetime.timestamp()
    await ctx.call_activity(carry, 0.0, woken)
    return woken - due
