"""The demo's application: validate an order, reserve its lines, wait, get it approved, charge, ship."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pydantic import BaseModel

from redurable import App, OrchestrationContext, RetryPolicy
from redurable.demo.effects import record_effect

app = App("orders")

BY_PHONE = "sofa"
"""The article whose reservation takes its time, so that a worker can be killed during it."""

BY_PHONE_SECONDS = 5.0


class Line(BaseModel):
    """One line of an order; the price in cents."""

    article: str
    quantity: int
    unit_price: int


class Order(BaseModel):
    """What the customer sent."""

    order_id: str
    customer: str
    lines: list[Line]


class Receipt(BaseModel):
    """A successful payment; the amount in cents."""

    amount: int
    attempts: int


class Confirmation(BaseModel):
    """What became of an order."""

    order_id: str
    status: str
    paid: int = 0
    charge_attempts: int = 0
    tracking: str = ""


class BankUnavailable(Exception):
    """The bank does not answer; trying again helps."""


@app.activity
async def validate_order(order: Order) -> Order:
    """Refuse an order that has nothing in it."""
    record_effect("validate_order")
    if not order.lines or any(line.quantity < 1 for line in order.lines):
        raise ValueError(f"order {order.order_id} has no lines, or a line without quantity")
    return order


@app.activity
async def reserve_line(line: Line) -> str:
    """Set goods aside; one article takes a phone call."""
    record_effect(f"reserve_line({line.article})")
    if line.article == BY_PHONE:
        await asyncio.sleep(BY_PHONE_SECONDS)
    return f"{line.quantity}x{line.article}"


@app.activity(retry=RetryPolicy(max_attempts=5, initial_interval=timedelta(milliseconds=300)))
async def charge_payment(order: Order) -> Receipt:
    """Take the money; the bank answers at the third attempt."""
    attempt = record_effect("charge_payment")
    if attempt < 3:
        raise BankUnavailable(f"no answer to attempt {attempt}")
    return Receipt(amount=sum(line.quantity * line.unit_price for line in order.lines), attempts=attempt)


@app.activity
def print_label(order_id: str) -> str:
    """Order a parcel label; a plain function, run in a thread."""
    record_effect("print_label")
    return f"PARCEL-{order_id}"


@app.orchestrator
async def ship_order(ctx: OrchestrationContext, order_id: str) -> str:
    """The sub-orchestration: everything about shipping."""
    return await ctx.call_activity(print_label, order_id)


@app.orchestrator
async def process_order(ctx: OrchestrationContext, order: Order) -> Confirmation:
    """An order from its file to its parcel."""
    order = await ctx.call_activity(validate_order, order)
    await asyncio.gather(*(ctx.call_activity(reserve_line, line) for line in order.lines))
    await ctx.create_timer(timedelta(seconds=1))
    try:
        approved = await ctx.wait_for_external_event("Approval", bool, timeout=timedelta(hours=24))
    except TimeoutError:
        approved = False
    if not approved:
        return Confirmation(order_id=order.order_id, status="rejected")
    receipt = await ctx.call_activity(charge_payment, order)
    tracking = await ctx.call_sub_orchestrator(ship_order, order.order_id, instance_id=f"{ctx.instance_id}-ship")
    return Confirmation(
        order_id=order.order_id,
        status="shipped",
        paid=receipt.amount,
        charge_attempts=receipt.attempts,
        tracking=tracking,
    )
