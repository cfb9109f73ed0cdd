"""A saga: a journey of several bookings, all of them or none, without a transaction over the companies involved.

What to look at: `try / except / finally` is all there is to it. What is to be undone is noted *before* each booking: a
call that failed may have reached the company all the same, and cancelling what was never booked does no harm there.
When a step fails, nobody pays in time, or the journey is cancelled, the notes are worked off in reverse order, and the
error goes on to whoever waits for the result. Compensations must not give up, so their policy hardly ever does.

$ python examples/saga.py
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from redurable import ActivityFailed, App, Client, OrchestrationContext, OrchestrationEnded, RetryPolicy, Worker

app = App("saga")

SOLD_OUT = {"car in Lima"}
UNTIL_IT_WORKS = RetryPolicy(max_attempts=1_000, initial_interval=timedelta(seconds=1), max_interval=timedelta(hours=1))


class SoldOut(Exception):
    """There is none left; asking again does not help."""


@app.activity(retry=RetryPolicy(max_attempts=4, non_retryable=[SoldOut]))
async def book(what: str, reference: str) -> str:
    """Book under a reference that we choose, so that a repeated attempt books nothing twice."""
    if what in SOLD_OUT:
        raise SoldOut(f"no {what} left")
    print(f"  booked the {what}")
    return f"{what} ({reference})"


@app.activity(retry=UNTIL_IT_WORKS)
async def cancel(what: str, reference: str) -> None:
    """Cancel what is booked under this reference, if anything is."""
    print(f"  cancelled the {what}, if it was booked")


@app.activity(retry=UNTIL_IT_WORKS)
async def close_file(journey: str) -> None:
    """Whatever happened, the travel agency tidies up."""
    print("  closed the file")


@app.orchestrator
async def book_journey(ctx: OrchestrationContext, parts: list[str]) -> list[str]:
    """Book all parts of a journey, or none."""
    compensations: list[tuple[str, str]] = []
    try:
        booked: list[str] = []
        for number, what in enumerate(parts, start=1):
            reference = f"{ctx.instance_id}-{number}"
            compensations.append((what, reference))
            booked.append(await ctx.call_activity(book, what, reference))
        ctx.set_custom_status("waits for the payment")
        await ctx.wait_for_external_event("Paid", str, timeout=timedelta(hours=24))
        return booked
    except (ActivityFailed, TimeoutError, asyncio.CancelledError):
        for what, reference in reversed(compensations):
            await ctx.call_activity(cancel, what, reference)
        raise
    finally:
        await ctx.call_activity(close_file, ctx.instance_id)


async def main() -> None:
    """A journey that works, one whose last part is sold out, and one that is cancelled while it waits for money."""
    async with Worker(app).running(), Client(hub=app.name) as client:
        for city, then in (("Porto", "is paid for"), ("Lima", "is sold out"), ("Riga", "is cancelled")):
            print(f"To {city}, which {then}:")
            parts = [f"flight to {city}", f"hotel in {city}", f"car in {city}"]
            handle = await client.start(book_journey, parts)
            if then == "is paid for":
                await client.raise_event(handle.instance_id, "Paid", "by card")
            elif then == "is cancelled":
                await _until_it_waits(client, handle.instance_id)
                await client.cancel(handle.instance_id, "the customer is ill")
            try:
                print(f"  -> {len(await handle.result(timeout=30))} bookings")
            except OrchestrationEnded as error:
                cause = error.cause or error.failure
                print(f"  -> nothing is booked: {cause.type}: {cause.message}")


async def _until_it_waits(client: Client, instance: str) -> None:
    while True:
        status = await client.get_status(instance)
        if status.custom_status is not None:
            return
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main())
