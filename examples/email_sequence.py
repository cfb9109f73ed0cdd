"""An e-mail sequence over seven days, which ends early when the customer buys or has had enough.

What to look at: the orchestrator says what happens in the order in which it happens, and a week lies between its first
line and its last. The moments are counted from the beginning, not from the last mail, so delays do not add up.
`asyncio.wait` is the race between the calendar and the customer, and cancelling a timer removes it from the store. The
program plays a week whose days last a tenth of a second; its tests let real ones pass on a virtual clock.

$ python examples/email_sequence.py
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pydantic import BaseModel

from redurable import App, Client, OrchestrationContext, RetryPolicy, Worker

app = App("email-sequence")

SEQUENCE = ((0, "welcome"), (1, "first steps"), (3, "what others do"), (5, "an offer"), (7, "the offer ends today"))
"""On which day after the beginning which mail goes out."""


class Customer(BaseModel):
    """Whom to write to; `day` is how long a day is."""

    name: str
    address: str
    day: timedelta = timedelta(days=1)


class Result(BaseModel):
    """How a sequence ended: "all sent", or what the customer did."""

    reason: str
    sent: list[str]


@app.activity(retry=RetryPolicy(max_attempts=10, initial_interval=timedelta(minutes=1)))
async def send_mail(address: str, subject: str) -> None:
    """Hand it to the mail server."""
    print(f"to {address}: {subject}")


@app.orchestrator
async def sequence(ctx: OrchestrationContext, customer: Customer) -> Result:
    """One mail after the other, each on its day."""
    begin = ctx.current_utc_datetime
    stop = ctx.wait_for_external_event("Stop", str)
    sent: list[str] = []
    for day, subject in SEQUENCE:
        due = ctx.create_timer(begin + day * customer.day)
        await asyncio.wait([due, stop], return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            due.cancel()
            return Result(reason=stop.result(), sent=sent)
        await ctx.call_activity(send_mail, customer.address, subject)
        sent.append(subject)
        ctx.set_custom_status({"sent": len(sent), "of": len(SEQUENCE)})
    return Result(reason="all sent", sent=sent)


async def main() -> None:
    """One customer reads everything, one buys on the second day."""
    day = timedelta(seconds=0.1)
    async with Worker(app).running(), Client(hub=app.name) as client:
        ada = await client.start(sequence, Customer(name="Ada", address="ada@example.org", day=day))
        print(f"-> {(await ada.result(timeout=30)).reason}")
        grace = Customer(name="Grace", address="grace@example.org", day=timedelta(minutes=1))
        handle = await client.start(sequence, grace)
        await _until_one_is_sent(client, handle.instance_id)
        await client.raise_event(handle.instance_id, "Stop", "bought")
        result = await handle.result(timeout=30)
        print(f"-> {result.reason} after {len(result.sent)} mail")


async def _until_one_is_sent(client: Client, instance: str) -> None:
    while True:
        status = await client.get_status(instance)
        if status.custom_status is not None:
            return
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main())
