"""The orchestrator that the programs in this folder talk to. It runs in Python; the activity runs wherever they do.

redurable worker shop:app --roles orchestrations
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from redurable import App, OrchestrationContext, RetryPolicy

app = App("shop")


@app.activity(
    name="PrintLabel",
    task_queue="labels",
    retry=RetryPolicy(max_attempts=3, initial_interval=timedelta(milliseconds=100)),
)
async def print_label(address: str) -> dict[str, Any]:
    """Only its name, types and options stand here: no Python worker serves the queue `labels`."""
    raise NotImplementedError("PrintLabel runs in another program: serve the queue 'labels' there, not here")


@app.orchestrator(name="ShipOrder")
async def ship_order(ctx: OrchestrationContext, address: str) -> dict[str, Any]:
    label = await ctx.call_activity(print_label, address)
    ctx.set_custom_status("waits for approval")
    approved_by = await ctx.wait_for_external_event("Approval", str)
    return {"label": label, "approved_by": approved_by}
