"""Errors and retries: what heals by itself, what code handles, and what whoever waits for the result is told.

What to look at: a temporary error is the business of the retry policy, and the orchestrator never hears of it. An error
that will not go away is named in `non_retryable`, arrives at once, and is caught like any other: `error.type` is the
name of the original error. When all attempts are in vain, the code goes on with plan B. What it does not catch fails
the orchestration, and `handle.result()` raises it, with the cause.

$ python examples/error_handling.py
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from redurable import (
    ActivityContext,
    ActivityFailed,
    App,
    Client,
    OrchestrationContext,
    OrchestrationFailed,
    RetryPolicy,
    Worker,
)

app = App("error-handling")

RATES = {"PEN": 0.25, "BGN": 0.51}
"""What the bank quotes, in EUR. It answers the second time it is asked, and about XAF never."""
YESTERDAY = {"XAF": 0.0015}


class UnknownCurrency(Exception):
    """There is no such currency; asking again does not help."""


@app.activity(
    retry=RetryPolicy(max_attempts=3, initial_interval=timedelta(milliseconds=100), non_retryable=[UnknownCurrency])
)
async def ask_bank(currency: str) -> float:
    """The rate of the day."""
    if currency not in RATES and currency not in YESTERDAY:
        raise UnknownCurrency(f"what is a {currency}?")
    if currency not in RATES or ActivityContext.current().attempt == 1:
        raise ConnectionError("the bank is busy")
    return RATES[currency]


@app.activity
async def look_up(currency: str) -> float:
    """The rate of yesterday, which we have written down."""
    return YESTERDAY[currency]


@app.orchestrator
async def convert(ctx: OrchestrationContext, amount: int, currency: str) -> str:
    """An amount in EUR: by the rate of the day, or of yesterday, or an explanation."""
    try:
        rate = await ctx.call_activity(ask_bank, currency)
    except ActivityFailed as error:
        if error.type == "UnknownCurrency":
            return f"{amount} {currency}: {error.message}"
        rate = await ctx.call_activity(look_up, currency)
        return f"{amount} {currency} = {amount * rate:.2f} EUR (yesterday's rate: {error})"
    return f"{amount} {currency} = {amount * rate:.2f} EUR"


@app.orchestrator
async def audit(ctx: OrchestrationContext, currency: str) -> float:
    """Here yesterday's rate is not good enough: the error goes on."""
    return await ctx.call_activity(ask_bank, currency)


async def main() -> None:
    """A temporary error, one that stays, plan B; and an error that nobody handles."""
    async with Worker(app).running(), Client(hub=app.name) as client:
        for currency in ("PEN", "MOON", "XAF"):
            print(await (await client.start(convert, 100, currency)).result(timeout=30))
        handle = await client.start(audit, "XAF")
        try:
            await handle.result(timeout=30)
        except OrchestrationFailed as error:
            cause = error.cause or error.failure
            print(f"audit failed: {error.type}, caused by {cause.type}: {cause.message}")


if __name__ == "__main__":
    asyncio.run(main())
