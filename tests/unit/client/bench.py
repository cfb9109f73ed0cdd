"""A hub in memory whose turns are taken by hand, and the application that runs in it."""

from __future__ import annotations

import itertools

from pydantic import BaseModel

from redurable import App, OrchestrationContext
from redurable.core.turn import TurnInput, take_turn
from redurable.store.memory import MemoryHub, MemoryStore
from tests.support.story import PARKING


class Order(BaseModel):
    lines: list[str]


class Receipt(BaseModel):
    total: int


app = App("orders")


@app.orchestrator
async def process(ctx: OrchestrationContext, order: Order, fast: bool = False) -> Receipt:
    """Waits for its price, unless it is fast."""
    ctx.set_custom_status({"lines": order.lines})
    price = 1 if fast else await ctx.wait_for_external_event("Price", int)
    if price < 0:
        raise ValueError(f"a price of {price}")
    return Receipt(total=price * len(order.lines))


@app.orchestrator
async def rounds(ctx: OrchestrationContext, left: int) -> str:
    """Continues as new until nothing is left."""
    await ctx.wait_for_external_event("Next")
    if left:
        ctx.continue_as_new(left - 1)
    return "done"


class Bench:
    """A store in memory and a worker that takes turns when told to."""

    def __init__(self) -> None:
        self.store = MemoryStore(MemoryHub("orders", 4, lambda: next(self._clock)), "client")
        self._worker = MemoryStore(self.store.state, "worker")
        self._clock = itertools.count(1_700_000_000_000)
        self._heads = itertools.count(1)

    async def turns(self) -> None:
        """Take turns until no instance has mail."""
        while entries := await self._worker.receive(range(4), 100, 0):
            deliveries = await self._worker.checkout(entries, [None] * len(entries))
            inputs = [TurnInput(delivery, None, f"h{next(self._heads)}", "3.11", PARKING) for delivery in deliveries]
            turns = [take_turn(app.registry.orchestrator(i.delivery.name), i) for i in inputs]
            await self._worker.commit([turn.commit for turn in turns])
            for turn in turns:
                if turn.known:
                    turn.known.evict()
