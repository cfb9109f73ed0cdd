"""Hubs as tenants: one server, one program, several customers who cannot see each other.

What to look at: a hub is an isolated set of instances. The code is the same for all tenants, and so is the number of
the invoice; what differs is `hub=`. An event, a status, a purge reach the instance of their own hub and no other. The
keys of a hub begin with `rd:{tenant-acme}` or `rd:{tenant-acme:p7}`, so the server itself can keep tenants apart (ACL).
Each hub has a worker of its own here; they might as well be processes on different machines.

$ python examples/tenant_hubs.py
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime

from redurable import App, Client, Handle, HubNotFound, InstanceNotFound, OrchestrationContext, Worker

app = App("tenants")

TENANTS = {"tenant-acme": 120, "tenant-globex": 80}
"""The hubs, and what each tenant's invoice is about, in EUR."""


@app.activity
async def book(amount: int) -> str:
    """Enter it into the ledger."""
    return f"{amount} EUR are booked"


@app.orchestrator
async def invoice(ctx: OrchestrationContext, amount: int) -> str:
    """An invoice waits until it is paid."""
    ctx.set_custom_status("open")
    payer = await ctx.wait_for_external_event("Paid", str)
    booked = await ctx.call_activity(book, amount)
    return f"paid by {payer}: {booked}"


async def main() -> None:
    """The same invoice number at two tenants; one of them pays."""
    number = f"invoice-{datetime.now():%H%M%S}"
    async with AsyncExitStack() as stack:
        clients = {hub: await stack.enter_async_context(Client(hub=hub)) for hub in (*TENANTS, "tenant-nobody")}
        handles: dict[str, Handle[str]] = {}
        for hub, amount in TENANTS.items():
            await stack.enter_async_context(Worker(app, hub=hub).running())
            handles[hub] = await clients[hub].start(invoice, amount, instance_id=number)
        first, second = TENANTS
        await clients[first].raise_event(number, "Paid", "Ada")
        print(f"{first}: {await handles[first].result(timeout=30)}")
        for hub, client in clients.items():
            print(f"{hub} sees {await _seen(client, number)}")
        await clients[first].purge(number)
        print(f"{first} purges it and sees {await _seen(clients[first], number)}")
        await clients[second].raise_event(number, "Paid", "Grace")
        print(f"{second}: {await handles[second].result(timeout=30)}")


async def _seen(client: Client, instance: str) -> str:
    try:
        status = await client.get_status(instance)
    except (InstanceNotFound, HubNotFound) as error:
        return f"nothing ({type(error).__name__})"
    return f"an invoice over {status.input} EUR that is {status.runtime_status}"


if __name__ == "__main__":
    asyncio.run(main())
