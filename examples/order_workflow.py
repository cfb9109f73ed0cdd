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
from collections.abc import Sequence
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
    async def charge(self, customer: str, cents: int) -> str:
        """Take the money; returns the number of the receipt."""
        self._record(f"charged {customer} {cents / 100:.2f} EUR")
        return f"receipt of {customer}"

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
    await asyncio.gather(*(ctx.call_activity(Warehouse.reserve, item) for item in items))
    receipt = await ctx.call_activity(Warehouse.charge, customer, cents)
    await ctx.call_activity(Warehouse.pack, items)
    tracking = await ctx.call_activity(Warehouse.ship, order_id)
    return f"{tracking}, {receipt}"


async def work(ledger: Path) -> None:
    """What the worker processes do."""
    app.add_activities(Warehouse(ledger))
    async with Worker(app, settings=QUICK) as worker:
        await worker.run()


async def main(ledger: Path) -> None:
    """An order, two workers, one of them killed."""
    async with Client(hub=app.name) as client:
        first = await _worker(ledger)
        handle = await client.start(order_workflow, "42", "Ada", ["lamp", "chair"], 29_900)
        await _until_lunch(ledger)
        first.send_signal(signal.SIGKILL)
        print(f"worker 1 ended with exit code {await first.wait()}; the store holds:")
        before = [_line(event) for event in await client.get_history(handle.instance_id)]
        _show(before)
        second = await _worker(ledger)
        print(f"\nresult: {await handle.result(timeout=30)}; the store holds:")
        second.terminate()
        await second.wait()
        after = [_line(event) for event in await client.get_history(handle.instance_id)]
        _show(after)
    print(f"\nthe second log begins with the first: {after[: len(before)] == before}; the ledger:")
    lines = [line.split("\t") for line in _read(ledger).splitlines()]
    _show([f"call {key.rpartition(':')[2]}, attempt {attempt}: {what}" for key, attempt, what in lines])
    effects = [key for key, _, what in lines if what != LUNCH]
    print(f"{len(effects)} effects, {len(effects) - len(set(effects))} of them done twice")


async def _worker(ledger: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, __file__, "worker", str(ledger))


def _read(ledger: Path) -> str:
    return ledger.read_text() if ledger.exists() else ""


async def _until_lunch(ledger: Path) -> None:
    while True:
        if LUNCH in _read(ledger):
            return
        await asyncio.sleep(0.05)


def _line(event: object) -> str:
    """An event: its kind, and where it has them the number of its call, the function's name and the attempt."""
    details = [(name, getattr(event, name, None)) for name in ("seq", "name", "attempt")]
    return " ".join([type(event).__name__, *(f"{name}={value}" for name, value in details if value is not None)])


def _show(lines: Sequence[str]) -> None:
    for number, line in enumerate(lines, start=1):
        print(f"  {number:2} {line}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        asyncio.run(work(Path(sys.argv[2])))
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(main(Path(folder) / "ledger.tsv"))
