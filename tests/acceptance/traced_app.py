"""The application of the acceptance tests of tracing: whoever comes to `die` or to the end of `deadly` first is killed,
in its activity or amid its turn. What it had ended before is exported: what a crash takes with it of the spans that
wait for their exporter is not asked here."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import get_tracer_provider

from redurable import ActivityContext, App, OrchestrationContext
from redurable.demo.effects import EFFECTS_VARIABLE

app = App("traced")


def once(name: str) -> None:
    """The first to come here dies."""
    marker = Path(os.environ[EFFECTS_VARIABLE]).with_name(f"killed-{name}")
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return
    provider = get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.force_flush()
    os.kill(os.getpid(), signal.SIGKILL)


@app.activity
async def die() -> int:
    once("activity")
    return ActivityContext.current().attempt


@app.activity
def work(number: int) -> int:
    return number


@app.orchestrator
async def child(ctx: OrchestrationContext, number: int) -> int:
    return await ctx.call_activity(work, number)


@app.orchestrator
async def deadly(ctx: OrchestrationContext, instance: str) -> list[int]:
    first = await ctx.call_activity(work, 1)
    attempt = await ctx.call_activity(die)
    second = await ctx.call_sub_orchestrator(child, 2, instance_id=instance)
    once("turn")
    return [first, attempt, second, await ctx.call_activity(work, 3)]
