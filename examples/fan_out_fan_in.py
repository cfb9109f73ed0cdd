"""Fan-out/fan-in: many activities at once, then one decision over all their results.

What to look at: `asyncio.gather` over calls is all it takes; the calls run in parallel on whatever workers there are.
With `return_exceptions=True` a supplier that does not answer costs its offer and not the orchestration. The semaphore
is a plain `asyncio` one, and durable like everything else here: never more than four suppliers are asked at a time.

$ python examples/fan_out_fan_in.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from pydantic import BaseModel

from redurable import ActivityFailed, App, Client, OrchestrationContext, RetryPolicy, Worker

app = App("fan-out-fan-in")

AT_A_TIME = 4
PRICES: Mapping[str, int | None] = {
    "Abel": 12_900, "Baker": 11_450, "Clark": None, "Dunn": 13_200, "Evans": 10_990, "Frank": 12_100,
}  # fmt: skip
"""What each supplier asks for a chair, in cents; None: the supplier does not answer."""


class Offer(BaseModel):
    """A price in cents."""

    supplier: str
    cents: int


class Purchase(BaseModel):
    """The best offer, and how it came about."""

    best: Offer
    offers: int
    silent: list[str]


@app.activity
async def find_suppliers(article: str) -> list[str]:
    """Who has such articles."""
    return list(PRICES)


@app.activity(retry=RetryPolicy(max_attempts=2, initial_interval=timedelta(milliseconds=50)))
async def ask(supplier: str, article: str) -> Offer:
    """One offer."""
    cents = PRICES[supplier]
    if cents is None:
        raise ConnectionError(f"{supplier} does not answer")
    return Offer(supplier=supplier, cents=cents)


@app.orchestrator
async def buy(ctx: OrchestrationContext, article: str) -> Purchase:
    """Ask all suppliers, and take the cheapest."""
    suppliers = await ctx.call_activity(find_suppliers, article)
    free = asyncio.Semaphore(AT_A_TIME)

    async def offer_of(supplier: str) -> Offer:
        async with free:
            return await ctx.call_activity(ask, supplier, article)

    answers = await asyncio.gather(*(offer_of(supplier) for supplier in suppliers), return_exceptions=True)
    offers = [answer for answer in answers if isinstance(answer, Offer)]
    silent = [name for name, answer in zip(suppliers, answers, strict=True) if isinstance(answer, ActivityFailed)]
    return Purchase(best=min(offers, key=lambda offer: offer.cents), offers=len(offers), silent=silent)


async def main() -> None:
    """Buy a chair."""
    async with Worker(app).running(), Client(hub=app.name) as client:
        purchase = await (await client.start(buy, "chair")).result(timeout=30)
    print(f"{purchase.offers} offers; no answer from {', '.join(purchase.silent)}")
    print(f"bought from {purchase.best.supplier} for {purchase.best.cents / 100:.2f} EUR")


if __name__ == "__main__":
    asyncio.run(main())
