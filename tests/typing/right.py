"""Right uses of the public API: pyright strict finds nothing to say, and infers these types."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import NoReturn, assert_type

from pydantic import BaseModel

from redurable import (
    ActivityContext,
    App,
    Backoff,
    Client,
    Handle,
    HttpResponse,
    OrchestrationContext,
    RetryPolicy,
    Worker,
    activity,
    sync,
)
from redurable.client import BulkProgress, Status
from redurable.core.events import HistoryRow


class Order(BaseModel):
    lines: list[str]


class Receipt(BaseModel):
    total: int


app = App("orders", default_retry=RetryPolicy(max_attempts=2))


@app.activity
async def validate(order: Order) -> Order:
    return order


@app.activity(
    name="Charge",
    task_queue="payments",
    retry=RetryPolicy(
        initial_interval=timedelta(seconds=1),
        backoff=Backoff.LINEAR,
        max_interval=timedelta(seconds=30),
        non_retryable=["CardDeclined", ValueError],
    ),
    schedule_to_start_timeout=timedelta(minutes=1),
    start_to_close_timeout=timedelta(seconds=30),
    schedule_to_close_timeout=timedelta(minutes=5),
    heartbeat_timeout=timedelta(seconds=10),
)
async def charge(order: Order, currency: str = "EUR") -> Receipt:
    context = ActivityContext.current()
    assert_type(context.attempt, int)
    assert_type(context.cancelled, bool)
    assert_type(await context.wait_cancelled(), None)
    context.heartbeat()
    context.heartbeat({"line": 3})
    return Receipt(total=1)


@app.activity
def import_file(path: str, *, instance_id: str = "") -> int:
    return 1


class Payments(ABC):
    @activity
    @abstractmethod
    async def pay(self, order: Order, currency: str = "EUR") -> Receipt: ...

    @activity(name="Refund", task_queue="payments")
    def refund(self, receipt: Receipt) -> int:
        return receipt.total


class Gateway(Payments):
    @activity
    async def pay(self, order: Order, currency: str = "EUR") -> Receipt:
        return Receipt(total=1)


@app.orchestrator
async def pays(ctx: OrchestrationContext, order: Order) -> int:
    receipt = await ctx.call_activity(Payments.pay, order, currency="USD")
    assert_type(receipt, Receipt)
    assert_type(await ctx.call_activity(Gateway.pay.options(task_queue="vip"), order), Receipt)
    assert_type(await Gateway().pay(order), Receipt)
    assert_type(Gateway().refund(receipt), int)
    return await ctx.call_activity(Payments.refund, receipt)


@app.orchestrator
async def process(ctx: OrchestrationContext, order: Order, fast: bool = False) -> Receipt:
    assert_type(await ctx.call_activity(validate, order), Order)
    hurried = charge.options(task_queue="vip", start_to_close_timeout=timedelta(seconds=5), heartbeat_timeout=None)
    receipt = await ctx.call_activity(hurried, order, currency="USD")
    assert_type(receipt, Receipt)
    assert_type(await ctx.call_activity(import_file, "p", instance_id="x"), int)
    texts = await asyncio.gather(*(ctx.call_activity("ProcessData", d, result_type=str) for d in order.lines))
    assert_type(texts, list[str])
    assert_type(await ctx.call_activity("ProcessData", 1, "a"), object)
    assert_type(ctx.call_activity(validate, order), asyncio.Future[Order])
    return receipt


@app.orchestrator(name="Tick")
async def tick(ctx: OrchestrationContext) -> None: ...


@app.orchestrator
async def forever(ctx: OrchestrationContext, n: int) -> NoReturn:
    ctx.continue_as_new(n + 1, keep_events=True)


@app.orchestrator
async def everything(ctx: OrchestrationContext, order: Order) -> Receipt:
    assert_type(await ctx.call_sub_orchestrator(process, order), Receipt)
    assert_type(await ctx.call_sub_orchestrator(process, order, fast=True), Receipt)
    assert_type(await ctx.call_sub_orchestrator(process, order, instance_id=f"{ctx.instance_id}-child"), Receipt)
    assert_type(await ctx.call_sub_orchestrator(process, order, True, instance_id=None), Receipt)
    assert_type(await ctx.call_sub_orchestrator(process.options(instance_id="x"), order, fast=True), Receipt)
    assert_type(await ctx.call_sub_orchestrator(tick, instance_id="t"), None)
    assert_type(await ctx.call_sub_orchestrator(process, order, parent_close="abandon"), Receipt)
    assert_type(await ctx.call_sub_orchestrator("Other", order, result_type=Receipt, parent_close="cancel"), Receipt)
    assert_type(await ctx.select(ctx.call_activity(charge, order), cancel_losers=False), tuple[int, Receipt])
    assert_type(await ctx.call_sub_orchestrator("Other", order, result_type=Receipt, instance_id="x"), Receipt)
    assert_type(await ctx.call_sub_orchestrator("Other", order), object)
    patient = process.options(retry=RetryPolicy(max_attempts=5), tags={"t": "a"}, delay=timedelta(minutes=1))
    assert_type(await ctx.call_sub_orchestrator(patient, order, fast=True), Receipt)
    assert_type(await ctx.call_sub_orchestrator(process, order, retry=RetryPolicy(), tags={"t": "a"}), Receipt)
    assert_type(await ctx.call_sub_orchestrator("Other", 1, delay=timedelta(1), retry=RetryPolicy()), object)
    assert_type(ctx.start_orchestration(process, order, instance_id="x", tags={"t": "a"}, delay=timedelta(1)), str)
    assert_type(ctx.start_orchestration(tick, instance_id="t"), str)
    assert_type(ctx.start_orchestration(process, order, fast=True), str)
    assert_type(ctx.start_orchestration("Other", order, instance_id="x"), str)

    assert_type(await ctx.wait_for_external_event("A", bool, timeout=timedelta(hours=24)), bool)
    assert_type(await ctx.wait_for_external_event("A", type=list[int]), list[int])
    assert_type(await ctx.wait_for_external_event("A"), object)
    assert_type(await ctx.create_timer(ctx.current_utc_datetime + timedelta(days=7)), None)
    await ctx.raise_event("other", "Done", order)

    index, winner = await ctx.select(ctx.create_timer(timedelta(minutes=5)), ctx.wait_for_external_event("C", str))
    assert_type(index, int)
    assert_type(winner, str | None)
    assert_type(
        await ctx.join(ctx.call_activity(validate, order), ctx.call_activity(charge, order)), list[Order | Receipt]
    )
    ctx.logger.info("%s %s", ctx.random.random(), ctx.new_uuid())
    ctx.get_logger("audit").info("%s %s", ctx.tags["tenant"], ctx.memo)
    answer = await ctx.call_http("POST", "https://shop.example", content=order, timeout=timedelta(seconds=5))
    assert_type(answer, HttpResponse)
    assert_type((answer.status, answer.headers, answer.content), tuple[int, dict[str, str], str])
    return await process(ctx, order)


async def main(client: Client, order: Order) -> None:
    assert_type(await client.start(process, order), Handle[Receipt])
    assert_type(await client.start(process, order, fast=True), Handle[Receipt])
    handle = await client.start(
        process,
        order,
        instance_id="order-42",
        on_conflict="use-existing",
        delay=timedelta(minutes=5),
        tags={"t": "a"},
        memo=[1],
    )
    assert_type(handle, Handle[Receipt])
    assert_type(await handle.result(timeout=30), Receipt)
    assert_type(await handle.result(follow=False), Receipt | None)
    assert_type(await client.start(process, order, True, instance_id="x"), Handle[Receipt])
    assert_type(await client.start(process.options(instance_id="x"), order, fast=True), Handle[Receipt])
    assert_type(await client.start(tick, instance_id="t", execution_timeout=timedelta(days=1)), Handle[None])
    assert_type(await client.start("process", order, result_type=Receipt, instance_id="x"), Handle[Receipt])
    assert_type(await client.start("process", order), Handle[object])
    assert_type(client.get_handle("x", result_type=Receipt), Handle[Receipt])
    assert_type((await client.get_status("x", show_history=True)).history, list[HistoryRow] | None)
    assert_type(await validate(order), Order)
    assert_type(import_file("x"), int)


def blocks(client: sync.Client, order: Order) -> None:
    assert_type(client.start(process, order), sync.Handle[Receipt])
    assert_type(client.start(process, order, fast=True), sync.Handle[Receipt])
    assert_type(client.start(process, order, True, instance_id="x"), sync.Handle[Receipt])
    handle = client.start(process, order, instance_id="x", on_conflict="use-existing", delay=timedelta(1), memo=[1])
    assert_type(handle, sync.Handle[Receipt])
    assert_type(handle.result(timeout=30), Receipt)
    assert_type(handle.result(follow=False), Receipt | None)
    assert_type(handle.cancel("why"), None)
    assert_type(client.start(process.options(instance_id="x"), order, fast=True), sync.Handle[Receipt])
    assert_type(client.start(tick, instance_id="t", execution_timeout=timedelta(days=1)), sync.Handle[None])
    assert_type(client.start("process", order, result_type=Receipt, instance_id="x"), sync.Handle[Receipt])
    assert_type(client.start("process", order), sync.Handle[object])
    assert_type(client.get_handle("x", result_type=Receipt), sync.Handle[Receipt])
    assert_type(client.raise_event("x", "Approval", True, event_id="e"), None)
    assert_type(client.get_status("x", show_history=True).history, list[HistoryRow] | None)
    assert_type([status.name for status in client.list_instances(status="Completed")], list[str])
    assert_type(next(client.list_instances()), Status)
    assert_type(next(client.bulk("terminate", reason="why", status="Running")), BulkProgress)
    assert_type(client.purge_instances(status=["Failed"]), int)
    with sync.Client("redis://localhost:6379", hub="orders") as opened:
        assert_type(opened, sync.Client)


async def connect() -> None:
    async with Client("redis://localhost:6379", hub="orders") as client:
        assert_type(client, Client)
    async with Worker(app, "redis://localhost:6379", hub="orders", roles={"activities"}) as worker:
        assert_type(worker, Worker)
    app.include(App("billing"))
    app.add_activities(Gateway())
    app.scan("shop")
    async with Worker([app, App("more")], hub="orders").running() as worker:
        assert_type(worker.is_running, bool)
