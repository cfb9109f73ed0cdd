"""FastAPI: an endpoint that starts an orchestration and answers 202 with the URLs by which it is managed.

What to look at: the endpoint is the application's own, with a pydantic model that FastAPI validates and redurable hands
on. `check_status_response` makes the 202, with `Location` and `Retry-After`; the management API is mounted beside it,
so those URLs lead to the same server, and the caller polls until there is a result.

$ python examples/fastapi_orders.py
"""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, PositiveInt

from redurable import App, Client, OrchestrationContext, Worker
from redurable.http import ManagementApi

app = App("fastapi")
client = Client(hub=app.name)
api = ManagementApi(client)  # Without keys it serves this machine alone; see docs/http-api.md.


class Order(BaseModel):
    item: str
    count: PositiveInt


class Receipt(BaseModel):
    text: str


@app.activity
async def ship(order: Order) -> Receipt:
    """Whatever touches the world is an activity."""
    return Receipt(text=f"{order.count} {order.item} on their way")


@app.orchestrator
async def process_order(ctx: OrchestrationContext, order: Order) -> Receipt:
    """One step is enough here."""
    ctx.set_custom_status({"packing": order.item})
    return await ctx.call_activity(ship, order)


@asynccontextmanager
async def lifespan(web: FastAPI) -> AsyncGenerator[None]:
    """A worker and the client live as long as the application."""
    async with Worker(app).running(), client:
        yield


web = FastAPI(title="orders", lifespan=lifespan)


@web.post("/orders", status_code=202)
async def place_order(order: Order, request: Request) -> Response:
    """An endpoint of our own."""
    handle = await client.start(process_order, order)
    return api.check_status_response(request, handle.instance_id, mounted_at="/manage")


web.mount("/manage", api)


async def customer(url: str) -> None:
    """Somebody who speaks HTTP and knows no more than the first URL."""
    async with httpx2.AsyncClient(timeout=30) as http:
        refused = await http.post(f"{url}/orders", json={"item": "apples", "count": 0})
        print(f"{refused.status_code} for an order of nothing")
        placed = await http.post(f"{url}/orders", json={"item": "apples", "count": 3})
        print(f"{placed.status_code}, ask again in {placed.headers['retry-after']} s")
        print("URLs:", *sorted(name for name in placed.json() if name != "id"))
        status = await end_of(http, placed.headers["location"])
        print(f"{status['runtimeStatus']}: {status['output']}")


async def end_of(http: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    """Ask until it is no 202 any more; in life as rarely as `Retry-After` says."""
    while True:
        status = await http.get(url)
        if status.status_code != 202:
            return status.json()
        await anyio.sleep(0.05)


async def main() -> None:
    """Serve on a free port of this machine, and be a customer; usually it is `uvicorn fastapi_orders:web`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(web, log_level="warning", access_log=False))
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            await customer(f"http://127.0.0.1:{listener.getsockname()[1]}")
            server.should_exit = True


if __name__ == "__main__":
    anyio.run(main)
