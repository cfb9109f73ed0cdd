"""What touches the world: the list of customers, and the mail server."""

from __future__ import annotations

from datetime import timedelta

from redurable import ActivityContext, App, RetryPolicy

app = App("mails")

CUSTOMERS = {
    "gardeners": ["ada@example.org", "bob@example.org", "eve@invalid", "grace@example.org", "lin@example.org"]
    + [f"reader-{number}@example.org" for number in range(1, 4)]
}
SUBJECTS = {"A": "Spring is near", "B": "Your garden is waiting"}


class Bounced(Exception):
    """There is no such mailbox: trying again does not help."""


@app.activity
async def recipients(segment: str) -> list[str]:
    """The addresses of a segment."""
    return CUSTOMERS[segment]


@app.activity(retry=RetryPolicy(max_attempts=5, initial_interval=timedelta(seconds=0.1), non_retryable=[Bounced]))
async def send(address: str, variant: str) -> str:
    """Hand a mail to the server; the id keeps a repeated attempt from sending it twice. Returns the message id."""
    if address.endswith("@invalid"):
        raise Bounced(f"no mailbox {address}")
    return f"<{ActivityContext.current().idempotency_key}> {SUBJECTS[variant]}"
