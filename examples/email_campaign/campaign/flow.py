"""What decides: a campaign, and for each recipient a child of it."""

from __future__ import annotations

import asyncio
from collections import Counter

from redurable import App, OrchestrationContext, SubOrchestrationFailed

from .mails import recipients, send
from .models import Campaign, Delivery, Report

app = App("flow")


@app.orchestrator
async def write_to(ctx: OrchestrationContext, address: str) -> Delivery:
    """One recipient: one of two subjects, by a lot that falls the same on every replay."""
    variant = ctx.random.choice("AB")
    await ctx.call_activity(send, address, variant)
    return Delivery(address=address, variant=variant)


@app.orchestrator
async def run_campaign(ctx: OrchestrationContext, campaign: Campaign) -> Report:
    """Wave after wave; mails that bounce are counted and stop nothing."""
    addresses = await ctx.call_activity(recipients, campaign.segment)
    report, variants = Report(), Counter[str]()
    for begin in range(0, len(addresses), campaign.wave):
        if begin:
            await ctx.create_timer(campaign.pause)
        wave = addresses[begin : begin + campaign.wave]
        children = [
            ctx.call_sub_orchestrator(write_to, address, instance_id=f"{ctx.instance_id}/{address}") for address in wave
        ]
        for address, outcome in zip(wave, await asyncio.gather(*children, return_exceptions=True), strict=True):
            if isinstance(outcome, SubOrchestrationFailed):
                report.bounced.append(address)
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                variants[outcome.variant] += 1
        report.waves += 1
        ctx.set_custom_status(f"{begin + len(wave)} of {len(addresses)}")
    report.sent, report.variants = variants.total(), dict(variants)
    return report
