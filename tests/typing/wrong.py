"""Wrong uses of the public API, each marked. A mark on a line that pyright has nothing against is an error of its own.

Which rule refuses a line is pyright's business and changes with its version, so the marks name none.
"""
# ruff: noqa: PGH003

from __future__ import annotations

from redurable import App, Client, OrchestrationContext, RetryPolicy, sync
from tests.typing.right import Gateway, Order, Payments, charge, import_file, process

app = App("wrong")


async def calls(ctx: OrchestrationContext, order: Order) -> None:
    await ctx.call_activity(charge, order, currency=3)  # pyright: ignore
    await ctx.call_activity(charge, "x")  # pyright: ignore
    await ctx.call_activity(charge)  # pyright: ignore
    await ctx.call_activity(charge, order, task_queue="vip")  # pyright: ignore
    await ctx.call_activity("Charge", order, resulttype=str)  # pyright: ignore
    await ctx.call_activity(process, order)  # pyright: ignore
    charge.options(task_que="v")  # pyright: ignore
    charge.options(start_to_close_timeout=1)  # pyright: ignore
    len(await ctx.call_activity(import_file, "p"))  # pyright: ignore
    await ctx.call_activity(Payments.pay, "x")  # pyright: ignore
    await ctx.call_activity(Payments.pay, order, currrency="x")  # pyright: ignore
    await ctx.call_activity(Gateway().pay, order)  # pyright: ignore


async def children(ctx: OrchestrationContext, order: Order) -> None:
    await ctx.call_sub_orchestrator(process, "x")  # pyright: ignore
    await ctx.call_sub_orchestrator(process, order, instance_idd="x")  # pyright: ignore
    await ctx.call_sub_orchestrator(process, order, parent_close="kill")  # pyright: ignore
    await ctx.call_sub_orchestrator(charge, order)  # pyright: ignore
    await ctx.call_sub_orchestrator(process, order, on_conflict="fail")  # pyright: ignore
    ctx.start_orchestration(process, order, retry=RetryPolicy())  # pyright: ignore
    process.options(retry=3)  # pyright: ignore
    await ctx.wait_for_external_event("A", bool, timeout=5)  # pyright: ignore
    await ctx.create_timer(5)  # pyright: ignore


async def starts(client: Client, order: Order) -> None:
    await client.start(process, "x", instance_id="x")  # pyright: ignore
    await client.start(process, order, instance_idd="x")  # pyright: ignore
    await client.start(process, order, on_conflict="nope")  # pyright: ignore
    await client.start(process, order, execution_timeout=5)  # pyright: ignore
    await client.start(process, order, retry=RetryPolicy())  # pyright: ignore
    await client.start(process, instance_id="x")  # pyright: ignore
    await client.start(charge, order)  # pyright: ignore
    len(await (await client.start(process, order)).result())  # pyright: ignore


def blocking_starts(client: sync.Client, order: Order) -> None:
    client.start(process, "x", instance_id="x")  # pyright: ignore
    client.start(process, order, "no bool", instance_id="x")  # pyright: ignore
    client.start(process, order, fastt=True)  # pyright: ignore
    client.start(process, order, on_conflict="nope")  # pyright: ignore
    client.start(process, order, execution_timeout=5)  # pyright: ignore
    client.start(process, instance_id="x")  # pyright: ignore
    client.start(charge, order)  # pyright: ignore
    len(client.start(process, order).result())  # pyright: ignore
    len(client.start("process", order, result_type=int).result())  # pyright: ignore
    client.start(process, order).result(timeout="soon")  # pyright: ignore
    client.raise_event("x", 1)  # pyright: ignore
    client.get_status("x", show_historyy=True)  # pyright: ignore
    client.terminate(1)  # pyright: ignore
    client.list_instances(statuss="Failed")  # pyright: ignore


async def mixed(client: sync.Client, order: Order) -> None:
    await client.start(process, order)  # pyright: ignore
    await client.ping()  # pyright: ignore


@app.orchestrator  # pyright: ignore
def not_async(ctx: OrchestrationContext) -> int:
    return 1


@app.orchestrator  # pyright: ignore
async def no_context(order: Order) -> int:
    return 1


@app.activity(task_que="x")  # pyright: ignore
async def misspelt() -> None: ...
