"""Function chaining: each activity works on what the one before returned.

What to look at: `bill` reads like any program. Each `await` is a checkpoint: should the worker die between two of them,
another one goes on at that place, with the results so far. What travels between the steps is typed: a dataclass and a
`Decimal` arrive as what they were.

$ python examples/function_chaining.py
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from redurable import App, Client, OrchestrationContext, Worker

app = App("function-chaining")

METERS = {"Ada": (10_250, 10_662), "Grace": (4_400, 7_150)}
"""What the meters showed at the beginning and at the end of the year, in kWh."""


@dataclass(frozen=True)
class Reading:
    """The two readings of a year, in kWh."""

    begin: int
    end: int


@app.activity
async def read_meter(customer: str) -> Reading:
    """Ask the meter; an unknown customer fails the orchestration after its retries."""
    begin, end = METERS[customer]
    return Reading(begin, end)


@app.activity
async def consumption(reading: Reading) -> int:
    """How much was used."""
    return reading.end - reading.begin


@app.activity
async def price(kwh: int) -> Decimal:
    """The first 2,000 kWh cost 32 cents each, the others 28."""
    return Decimal("0.32") * min(kwh, 2_000) + Decimal("0.28") * max(kwh - 2_000, 0)


@app.activity
async def write_invoice(customer: str, kwh: int, amount: Decimal) -> str:
    """The letter to the customer."""
    return f"{customer}: {kwh:,} kWh, {amount:,.2f} EUR"


@app.orchestrator
async def bill(ctx: OrchestrationContext, customer: str) -> str:
    """From the meter to the invoice."""
    reading = await ctx.call_activity(read_meter, customer)
    kwh = await ctx.call_activity(consumption, reading)
    amount = await ctx.call_activity(price, kwh)
    return await ctx.call_activity(write_invoice, customer, kwh, amount)


async def main() -> None:
    """Bill everybody; the chains of different customers run side by side."""
    async with Worker(app).running(), Client(hub=app.name) as client:
        handles = [await client.start(bill, customer) for customer in METERS]
        for handle in handles:
            print(await handle.result(timeout=30))


if __name__ == "__main__":
    asyncio.run(main())
