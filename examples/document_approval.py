"""Document approval: several reviewers vote, the majority decides, and who has not voted is reminded.

What to look at: votes are events, one wait takes one of them, in the order in which they came. Until the next reminder
is due the orchestrator waits for a vote, and no longer; a reminder goes to those who are missing. It ends as soon as
the missing votes cannot change the outcome. Votes of strangers and second thoughts are a matter of plain code.

$ python examples/document_approval.py
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pydantic import BaseModel

from redurable import App, Client, OrchestrationContext, Worker

app = App("document-approval")


class Document(BaseModel):
    """What is to be approved, and by whom."""

    title: str
    reviewers: list[str]
    remind_every: timedelta = timedelta(days=1)
    reminders: int = 4


class Vote(BaseModel):
    """The data of a `Vote` event."""

    by: str
    approve: bool


class Minutes(BaseModel):
    """The outcome, and who said what."""

    approved: bool
    reason: str
    votes: dict[str, bool]
    reminders: int


@app.activity
async def ask(title: str, people: list[str]) -> None:
    """Mails with the document."""
    print(f"please vote on {title!r}: {', '.join(people)}")


@app.activity
async def remind(title: str, people: list[str]) -> None:
    """Mails to those who have not voted."""
    print(f"still missing on {title!r}: {', '.join(people)}")


def verdict(votes: dict[str, bool], reviewers: int) -> bool | None:
    """What more than half of all say; None while that is open. A tie is a no."""
    yes, no = sum(votes.values()), len(votes) - sum(votes.values())
    if yes > reviewers / 2:
        return True
    return False if no >= reviewers / 2 else None


@app.orchestrator
async def approve(ctx: OrchestrationContext, document: Document) -> Minutes:
    """Collect votes until the outcome is certain, or the last reminder was in vain."""
    await ctx.call_activity(ask, document.title, document.reviewers)
    votes: dict[str, bool] = {}
    reminders, due = 0, ctx.current_utc_datetime + document.remind_every
    while (outcome := verdict(votes, len(document.reviewers))) is None:
        try:
            left = due - ctx.current_utc_datetime
            vote = await ctx.wait_for_external_event("Vote", Vote, timeout=left)
        except TimeoutError:
            if reminders == document.reminders:
                return Minutes(approved=False, reason="too few have voted", votes=votes, reminders=reminders)
            missing = [person for person in document.reviewers if person not in votes]
            await ctx.call_activity(remind, document.title, missing)
            reminders, due = reminders + 1, due + document.remind_every
        else:
            if vote.by in document.reviewers:
                votes[vote.by] = vote.approve
        ctx.set_custom_status({"votes": len(votes), "reminders": reminders})
    return Minutes(approved=outcome, reason="the majority", votes=votes, reminders=reminders)


async def main() -> None:
    """Five reviewers; a stranger votes, somebody changes his mind, one never answers."""
    document = Document(title="budget", reviewers=["Ada", "Bob", "Eve", "Lin", "Zoe"])
    document.remind_every = timedelta(seconds=3)
    async with Worker(app).running(), Client(hub=app.name) as client:
        handle = await client.start(approve, document)
        first = [("Ada", True), ("Mallory", False), ("Bob", False)]
        for number, (person, approves) in enumerate(first):
            vote = Vote(by=person, approve=approves)
            await client.raise_event(handle.instance_id, "Vote", vote, event_id=f"vote-{number}")
        await _until_reminded(client, handle.instance_id)
        for person in ("Bob", "Eve"):
            await client.raise_event(handle.instance_id, "Vote", Vote(by=person, approve=True))
        minutes = await handle.result(timeout=30)
    print(f"approved: {minutes.approved}, by {minutes.reason}: {minutes.votes}")


async def _until_reminded(client: Client, instance: str) -> None:
    while True:
        status = await client.get_status(instance)
        if status.custom_status and status.custom_status["reminders"]:
            return
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main())
