"""An eternal orchestration: the shelf of a warehouse, an actor that keeps its stock for years.

What to look at: after every MOVEMENTS_PER_EXECUTION movements `ctx.continue_as_new(stock)` ends the execution and
begins the next one, under the same instance id, with an empty history and the stock as its input. Movements that have
arrived and were not read yet come along, so none is lost; one that is raised twice under one `event_id` counts once.
The program raises fifty at once and shows that the sum is right, although they went through six executions.

$ python examples/eternal_orchestration.py
"""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from redurable import App, Client, OrchestrationContext, Worker

app = App("eternal-orchestration")

MOVEMENTS_PER_EXECUTION = 10
REORDER_BELOW = 5
REORDER = 20


class Stock(BaseModel):
    """All that the shelf has to remember."""

    article: str
    pieces: int = 0
    movements: int = 0
    orders: int = 0


@app.activity
async def order_more(article: str, pieces: int) -> int:
    """Order from the supplier; returns what will be delivered."""
    return pieces


@app.orchestrator
async def shelf(ctx: OrchestrationContext, stock: Stock) -> Stock:
    """Take movements, pieces in or out, for ever, or until one of 0 pieces says that the shelf is given up."""
    last = stock.movements + MOVEMENTS_PER_EXECUTION
    while True:
        if stock.movements == last:
            ctx.continue_as_new(stock)
        pieces = await ctx.wait_for_external_event("Movement", int)
        if pieces == 0:
            return stock
        stock.pieces += pieces
        stock.movements += 1
        if stock.pieces < REORDER_BELOW:
            stock.pieces += await ctx.call_activity(order_more, stock.article, REORDER)
            stock.orders += 1
        ctx.set_custom_status({"pieces": stock.pieces, "movements": stock.movements})


async def main() -> None:
    """Fifty customers, two lamps each; one of them clicks twice."""
    async with Worker(app).running(), Client(hub=app.name) as client:
        handle = await client.start(shelf, Stock(article="lamp", pieces=12))
        for customer in [*range(50), 49]:
            await client.raise_event(handle.instance_id, "Movement", -2, event_id=f"customer-{customer}")
        await client.raise_event(handle.instance_id, "Movement", 0)
        stock = await handle.result(timeout=30)
        executions = await client.list_executions(handle.instance_id)
        histories = [await client.get_history(handle.instance_id, execution) for execution in executions]
    print(f"{stock.movements} movements, {stock.orders} orders of {REORDER}, {stock.pieces} pieces left")
    print(f"{len(executions)} executions with histories of {[len(history) for history in histories]} events")
    print(
        f"12 - 2 x {stock.movements} + {REORDER} x {stock.orders} = {12 - 2 * stock.movements + REORDER * stock.orders}"
    )


if __name__ == "__main__":
    asyncio.run(main())
