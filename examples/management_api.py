"""Management API: a web application with the HTTP API of Azure Durable Functions beside its own endpoints.

What to look at: `POST /orders/{id}` starts an orchestration and answers 202 with the URLs by which it is managed, as
Azure's functions do. The API is mounted, so those URLs lead to the same server. Whoever placed the order needs nothing
but them: it polls `statusQueryGetUri`, raises the event, and purges at the end.

$ python examples/management_api.py
"""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio
import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from redurable import App, Client, OrchestrationContext, Worker
from redurable.http import ManagementApi

app = App("management")
client = Client(hub=app.name)
api = ManagementApi(client)  # Without keys it serves this machine alone; see docs/http-api.md.


@app.activity
async def ship(order: str) -> str:
    """Whatever touches the world is an activity."""
    return f"{order} is on its way"


@app.orchestrator
async def process_order(ctx: OrchestrationContext, order: str) -> str:
    """Waits for a person."""
    approved = await ctx.wait_for_external_event("Approval", bool)
    return await ctx.call_activity(ship, order) if approved else f"{order} was declined"


async def place_order(request: Request) -> Response:
    """An endpoint of our own."""
    order = request.path_params["order"]
    handle = await client.start(process_order, order, instance_id=f"{order}-{uuid4().hex[:6]}")
    return api.check_status_response(request, handle.instance_id)


@asynccontextmanager
async def lifespan(web: Starlette) -> AsyncGenerator[None]:
    """A worker and the client live as long as the application."""
    async with Worker(app).running(), client:
        yield


web = Starlette(
    routes=[Route("/orders/{order}", place_order, methods=["POST"]), Mount("/", app=api)],
    lifespan=lifespan,
)


async def customer(url: str) -> None:
    """Somebody who speaks HTTP and knows no more than the first URL."""
    async with httpx2.AsyncClient(timeout=30) as http:
        placed = await http.post(f"{url}/orders/apples")
        urls = placed.json()
        print(f"{placed.status_code}, ask again in {placed.headers['retry-after']} s")
        status = await http.get(urls["statusQueryGetUri"])
        print(f"{status.status_code} while it goes on")
        said = await http.post(urls["sendEventPostUri"].replace("{eventName}", "Approval"), json=True)
        print(f"{said.status_code} for the approval")
        status = await end_of(http, urls["statusQueryGetUri"])
        print(f"{status.status_code}: {status.json()['runtimeStatus']}, {status.json()['output']}")
        said = await http.post(urls["sendEventPostUri"].replace("{eventName}", "Approval"), json=True)
        print(f"{said.status_code} for an approval that comes too late")
        gone = await http.delete(urls["purgeHistoryDeleteUri"])
        print(f"{gone.status_code}: {gone.text}")


async def end_of(http: httpx2.AsyncClient, url: str) -> httpx2.Response:
    """Ask until it is no 202 any more; in life as rarely as `Retry-After` says."""
    while True:
        status = await http.get(url)
        if status.status_code != 202:
            return status
        await anyio.sleep(0.05)


async def main() -> None:
    """Serve on a free port of this machine, and be a customer; usually it is `uvicorn management_api:web`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(web, log_level="warning", access_log=False))
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            await customer(f"http://127.0.0.1:{listener.getsockname()[1]}")
            server.should_exit = True


if __name__ == "__main__":
    anyio.run(main)
