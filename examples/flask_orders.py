"""Flask: an application without `async`, whose views start orchestrations and ask how they are.

What to look at: the views use `redurable.sync.Client`, one for all threads of the server. `POST /orders/{id}` answers
202 with a `Location` to ask again; `GET` there waits a moment for the result, and says 202 as long as there is none.
Here the worker lives in a thread of the same process; usually it is `redurable worker flask_orders:app` elsewhere.

$ python examples/flask_orders.py
"""

from __future__ import annotations

import logging
from threading import Thread

import httpx2
from anyio.from_thread import start_blocking_portal
from flask import Flask, Response, jsonify, request, url_for
from werkzeug.serving import make_server

from redurable import App, InstanceNotFound, OrchestrationContext, Worker
from redurable.sync import Client

app = App("flask")
client = Client(hub=app.name)
web = Flask(__name__)


@app.activity
def ship(order: str) -> str:
    """Whatever touches the world is an activity."""
    return f"{order} is on its way"


@app.orchestrator
async def process_order(ctx: OrchestrationContext, order: str) -> str:
    """Waits for a person."""
    approved = await ctx.wait_for_external_event("Approval", bool)
    return await ctx.call_activity(ship, order) if approved else f"{order} was declined"


@web.post("/orders/<order>")
def place_order(order: str) -> Response:
    """Start it; who repeats the request gets the same order."""
    handle = client.start(process_order, order, instance_id=order, on_conflict="use-existing")
    return _accepted(handle.instance_id)


@web.get("/orders/<order>")
def show_order(order: str) -> Response:
    """Its result, if there is one within a second."""
    try:
        return jsonify(result=client.get_handle(order, result_type=str).result(timeout=1))
    except TimeoutError:
        return _accepted(order)


@web.post("/orders/<order>/approval")
def approve(order: str) -> Response:
    """The person."""
    client.raise_event(order, "Approval", request.get_json())
    return _accepted(order)


@web.errorhandler(InstanceNotFound)
def missing(error: InstanceNotFound) -> Response:
    """Errors of redurable become answers in one place."""
    answer = jsonify(error=str(error))
    answer.status_code = 404
    return answer


def _accepted(order: str) -> Response:
    answer = jsonify(id=order)
    answer.status_code = 202
    answer.headers["Location"] = url_for("show_order", order=order)
    answer.headers["Retry-After"] = "1"
    return answer


def customer(url: str) -> None:
    """Somebody who speaks HTTP."""
    with httpx2.Client(base_url=url, timeout=30) as http:
        placed = http.post("/orders/apples")
        print(f"{placed.status_code}, look at {placed.headers['location']}")
        print(f"{http.post('/orders/apples').status_code} for the same order once more")
        print(f"{http.get(placed.headers['location']).status_code} while it goes on")
        print(f"{http.post('/orders/apples/approval', json=True).status_code} for the approval")
        shown = http.get(placed.headers["location"])
        print(f"{shown.status_code}: {shown.json()['result']}")
        print(f"{http.get('/orders/pears').status_code} for an order that nobody placed")


def main() -> None:
    """Serve on a free port of this machine, and be a customer; usually it is `flask --app flask_orders run`."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Worker(app).running()),
        client,
        make_server("127.0.0.1", 0, web, threaded=True) as server,
    ):
        for order in ("apples", "pears"):  # Of an earlier run.
            for _ in client.bulk("terminate", prefix=order):
                pass
            client.purge_instances(prefix=order)
        serving = Thread(target=server.serve_forever)
        serving.start()
        customer(f"http://127.0.0.1:{server.port}")
        server.shutdown()
        serving.join()


if __name__ == "__main__":
    main()
