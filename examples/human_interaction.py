"""Human interaction: a design proposal waits for people, with a deadline, and an escalation when it has passed.

What to look at: `ctx.wait_for_external_event(…, timeout=…)` is both the wait and the deadline: it raises `TimeoutError`
when nobody has answered, and the orchestrator asks the next person. A decision is an event that anybody may raise who
reaches the store: this program by `client.raise_event`, a web server, or `redis-cli` with one XADD. Its `event_id`
makes a double click harmless. The lead has three days, the head of the department two; the program plays it in seconds.

$ python examples/human_interaction.py
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pydantic import BaseModel

from redurable import App, Client, OrchestrationContext, Worker

app = App("human-interaction")


class Proposal(BaseModel):
    """What somebody wants to build."""

    title: str
    author: str
    lead: str
    head: str
    lead_has: timedelta = timedelta(days=3)
    head_has: timedelta = timedelta(days=2)


class Decision(BaseModel):
    """The data of a `Decision` event."""

    by: str
    approved: bool
    comment: str = ""


class Outcome(BaseModel):
    """What became of a proposal."""

    status: str
    by: str = ""
    escalated: bool = False


@app.activity
async def ask(person: str, title: str) -> None:
    """Send a mail with a link."""
    print(f"to {person}: please decide about {title!r}")


@app.activity
async def tell(author: str, title: str, outcome: Outcome) -> None:
    """Send a mail to whoever waits for it."""
    print(f"to {author}: {title!r} is {outcome.status}{' by ' + outcome.by if outcome.by else ''}")


@app.orchestrator
async def approve(ctx: OrchestrationContext, proposal: Proposal) -> Outcome:
    """Ask the lead, then the head; nobody's answer is a no."""
    outcome = Outcome(status="rejected, for nobody has answered", escalated=True)
    for person, has in ((proposal.lead, proposal.lead_has), (proposal.head, proposal.head_has)):
        await ctx.call_activity(ask, person, proposal.title)
        ctx.set_custom_status(f"waits for {person}")
        try:
            decision = await ctx.wait_for_external_event("Decision", Decision, timeout=has)
        except TimeoutError:
            ctx.logger.info("%s has not answered within %s", person, has)
            continue
        status = "approved" if decision.approved else "rejected"
        outcome = Outcome(status=status, by=decision.by, escalated=person != proposal.lead)
        break
    await ctx.call_activity(tell, proposal.author, proposal.title, outcome)
    return outcome


async def main() -> None:
    """Three proposals: the lead answers; only the head answers; nobody does."""
    async with Worker(app).running(), Client(hub=app.name) as client:
        plays = (("a new hall", 30, 30, "Lea"), ("a bridge", 0.5, 30, "Hedy"), ("a tower", 0.5, 0.5, ""))
        for title, lead_has, head_has, who in plays:
            proposal = Proposal(
                title=title,
                author="Ada",
                lead="Lea",
                head="Hedy",
                lead_has=timedelta(seconds=lead_has),
                head_has=timedelta(seconds=head_has),
            )
            handle = await client.start(approve, proposal)
            if who:
                await _until_asked(client, handle.instance_id, who)
                decision = Decision(by=who, approved=True)
                await client.raise_event(handle.instance_id, "Decision", decision, event_id="click-1")
            outcome = await handle.result(timeout=30)
            print(f"-> {outcome.status}, {'after an escalation' if outcome.escalated else 'by the first asked'}")


async def _until_asked(client: Client, instance: str, who: str) -> None:
    while True:
        status = await client.get_status(instance)
        if status.custom_status == f"waits for {who}":
            return
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main())
