"""OrderWorkflow: an order of four arguments, whose worker is killed with -9 in the middle of it.

What to look at: the program prints the event log twice, as the store holds it: after the worker was killed, and when
another one has finished the order. The second log begins with the first, event by event: the new worker replayed what
had happened and went on behind it. The ledger is what the world saw: each effect is there once, and the parcel that was
being packed was packed by the second attempt, under the same idempotency key. All is real: processes, signals, server.

$ python examples/order_workflow.py
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from redurable import ActivityContext, App, Client, OrchestrationContext, Worker, WorkerSettings, activity

app = App("order-workflow")

QUICK = WorkerSettings(task_lease_ms=1_500, instance_lease_ms=1_000, renew_every_ms=400, reclaim_every_ms=200)
"""A dead worker's work is taken over after 1.5 s instead of 10, so that you need not wait."""
LUNCH = "went to lunch"


class Warehouse:
    """The activities, and the file that each of their effects leaves a line in: key, attempt, what was done."""

    def __init__(self, ledger: Path) -> None:
        self.ledger = ledger

    @activity
    async def reserve(self, item: str) -> None:
        """Set an item aside."""
        self._record(f"reserved {item}")

    @activity
    async def charge(self, customer: str, cents: int) -> None:
        """Take the money."""
        self._record(f"charged {customer} {cents / 100:.2f} EUR")

    @activity
    async def pack(self, items: list[str]) -> None:
        """Put the items into a parcel. The first packer never comes back from lunch."""
        if ActivityContext.current().attempt == 1:
            self._record(LUNCH)
            await asyncio.Event().wait()
        self._record(f"packed {' and '.join(items)}")

    @activity
    async def ship(self, order_id: str) -> str:
        """Hand the parcel over; returns its tracking number."""
        self._record(f"shipped {order_id}")
        return f"PARCEL-{order_id}"

    def _record(self, what: str) -> None:
        context = ActivityContext.current()
        with self.ledger.open("a") as ledger:
            ledger.write(f"{context.idempotency_key}\t{context.attempt}\t{what}\n")


@app.orchestrator(name="OrderWorkflow")
async def order_workflow(ctx: OrchestrationContext, order_id: str, customer: str, items: list[str], cents: int) -> str:
    """From the order to the parcel."""
    for item in items:
        await ctx.call_activity(Warehouse.reserve, item)
    await ctx.call_activity(Warehouse.charge, customer, cents)
    await ctx.call_activity(Warehouse.pack, items)
    return await ctx.call_activity(Warehouse.ship, order_id)


async def work(ledger: Path) -> None:
    """What a worker process does."""
    app.add_activities(Warehouse(ledger))
    async with Worker(app, settings=QUICK) as worker:
        await worker.run()


async def main(ledger: Path) -> None:
    """An order, two workers, one of them killed."""
    async with Client(hub=app.name) as client:
        async with worker_process(ledger) as worker:
            handle = await client.start(order_workflow, "42", "Ada", ["lamp", "chair"], 29_900)
            while True:
                if any(what == LUNCH for _, _, what in _read(ledger)):
                    break
                await asyncio.sleep(0.05)
            worker.send_signal(signal.SIGKILL)
            print(f"worker 1 ended with exit code {await worker.wait()}; the store holds:")
        before = await _log(client, handle.instance_id)
        async with worker_process(ledger):
            print(f"worker 2: {await handle.result(timeout=30)}; the store holds:")
        after = await _log(client, handle.instance_id)
    print(f"the second log begins with the first: {after[: len(before)] == before}; the ledger:")
    for key, attempt, what in _read(ledger):
        print(f"  call {key.rpartition(':')[2]}, attempt {attempt}: {what}")
    effects = [key for key, _, what in _read(ledger) if what != LUNCH]
    print(f"{len(effects)} effects, {len(effects) - len(set(effects))} of them done twice")


@asynccontextmanager
async def worker_process(ledger: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A worker as a process of its own; at the end it is stopped, if it still runs."""
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, "worker", str(ledger))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _read(ledger: Path) -> list[list[str]]:
    return [line.split("\t") for line in ledger.read_text().splitlines()]


async def _log(client: Client, instance: str) -> list[str]:
    """The history: the kind of each event, and where it has them its call's number, its function and its attempt."""
    lines: list[str] = []
    for event in await client.get_history(instance):
        details = [(name, getattr(event, name, "")) for name in ("seq", "name", "attempt")]
        lines.append(" ".join([type(event).__name__, *(f"{name}={value}" for name, value in details if value)]))
    print("".join(f"  {number:2} {line}\n" for number, line in enumerate(lines, start=1)))
    return lines


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        asyncio.run(work(Path(sys.argv[2])))
    else:
        with tempfile.NamedTemporaryFile() as file:
            asyncio.run(main(Path(file.name)))
