"""Typed orders: pydantic models from the client through orchestrator, activities and events to the result.

What to look at: hover over `receipt` or `decision` in your editor. Calls are checked by the parameters of what they
call, and results have its type, without a cast; pyright strict finds nothing in this file. On the wire everything is
JSON, and what comes from outside is validated when it is read: an order of another program that fits no model never
reaches your code, and its sender is told why.

$ python examples/typed_orders.py
"""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from redurable import App, Client, OrchestrationContext, OrchestrationFailed, Worker

app = App("typed-orders")


class Card(BaseModel):
    """Paid by card."""

    kind: Literal["card"] = "card"
    last_digits: Annotated[str, Field(pattern=r"^\d{4}$")]


class Invoice(BaseModel):
    """Paid within some days."""

    kind: Literal["invoice"] = "invoice"
    days: Annotated[int, Field(gt=0, le=60)] = 14


class Line(BaseModel):
    """Some of an article."""

    article: str
    quantity: Annotated[int, Field(gt=0)]
    unit_price: Decimal


class Order(BaseModel):
    """What a customer wants."""

    id: str
    placed_on: date
    lines: Annotated[list[Line], Field(min_length=1)]
    payment: Annotated[Card | Invoice, Field(discriminator="kind")]
    currency: Literal["EUR", "PEN"] = "EUR"


class Decision(BaseModel):
    """The data of a `Decision` event."""

    approved: bool
    by: str


class Receipt(BaseModel):
    """What the customer gets."""

    order: str
    total: Decimal
    currency: Literal["EUR", "PEN"]
    paid_by: Card | Invoice
    approved_by: str | None = None


@app.activity
async def total_of(lines: list[Line]) -> Decimal:
    """The sum of the lines; a `Decimal` stays exact on its way."""
    return sum((line.quantity * line.unit_price for line in lines), Decimal(0))


@app.activity
async def charge(order: Order, total: Decimal, approved_by: str | None = None) -> Receipt:
    """Take the money."""
    return Receipt(order=order.id, total=total, currency=order.currency, paid_by=order.payment, approved_by=approved_by)


@app.orchestrator
async def process(ctx: OrchestrationContext, order: Order) -> Receipt | None:
    """Large orders on invoice need somebody's approval; None: it was refused."""
    total = await ctx.call_activity(total_of, order.lines)
    if isinstance(order.payment, Card) or total < 500:
        return await ctx.call_activity(charge, order, total)
    ctx.set_custom_status(f"waits for the approval of {total} {order.currency}")
    decision = await ctx.wait_for_external_event("Decision", Decision)
    return await ctx.call_activity(charge, order, total, approved_by=decision.by) if decision.approved else None


async def main() -> None:
    """By card; a large one on invoice; and one that another program got wrong."""
    lamp = Line(article="lamp", quantity=2, unit_price=Decimal("49.90"))
    sofa = Line(article="sofa", quantity=1, unit_price=Decimal("899.00"))
    small = Order(id="o-1", placed_on=date(2026, 1, 5), lines=[lamp], payment=Card(last_digits="4242"))
    large = Order(id="o-2", placed_on=date(2026, 1, 6), lines=[lamp, sofa], payment=Invoice())
    async with Worker(app).running(), Client(hub=app.name) as client:
        receipt = await (await client.start(process, small)).result(timeout=30)
        assert receipt is not None
        print(f"{receipt.order}: {receipt.total} {receipt.currency} by {receipt.paid_by.kind}")
        handle = await client.start(process, large)
        await client.raise_event(handle.instance_id, "Decision", Decision(approved=True, by="Ada"))
        receipt = await handle.result(timeout=30)
        assert receipt is not None
        print(f"{receipt.order}: {receipt.total} {receipt.currency} approved by {receipt.approved_by}")
        wrong: dict[str, object] = {"id": "o-3", "placed_on": "soon", "lines": [], "payment": {"kind": "barter"}}
        foreign = await client.start("process", wrong)  # by name: what a program in another language does
        try:
            await foreign.result(timeout=30)
        except OrchestrationFailed as error:
            print(f"o-3: {error.type}: {error.message}")


if __name__ == "__main__":
    asyncio.run(main())
