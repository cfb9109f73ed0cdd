"""`python -m tests.acceptance.faulty_worker ADDRESS HUB FAULT FACTS`: a worker whose store has a fault in it.

It runs the tests' application until it is killed, and writes every fact that it announces into the file FACTS, one JSON
line each. It ends with its standard input.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import anyio
import msgspec

from redurable import Worker
from redurable.facts import Fact
from redurable.store.redis.channel import channel_factory
from redurable.store.redis.lane import Lane
from redurable.telemetry.logs import log_to_stderr
from redurable.worker import turn_thread
from redurable.worker.ownership import new_worker_id
from tests.acceptance.plant_app import app
from tests.support.faults import Fault, FaultyStore


async def main(address: str, hub: str, fault: str, facts: str) -> None:
    """Work until killed. `fault` is a `Fault` as JSON."""
    log_to_stderr()
    given = msgspec.json.decode(fault, type=Fault)
    if given.trusting:
        turn_thread.PROVEN_TURNS = 0
    store = FaultyStore(Lane(channel_factory(address)), hub, new_worker_id(), given)
    await store.open()
    try:
        worker = Worker.from_store(app, store)
        worker.facts.subscribe(lambda fact: write_fact(Path(facts), fact))
        async with worker:
            sys.stdout.write("this worker is ready\n")
            sys.stdout.flush()
            await worker.run()
    finally:
        await store.close()


def write_fact(path: Path, fact: Fact) -> None:
    """Append the fact's name and its fields."""
    with path.open("ab") as lines:
        lines.write(msgspec.json.encode([type(fact).__name__, fact]) + b"\n")


def end_with_stdin() -> None:
    """Wait for the end of the standard input in a thread; then end the process as it is."""

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    end_with_stdin()
    _, given_address, given_hub, given_fault, given_facts = sys.argv
    anyio.run(main, given_address, given_hub, given_fault, given_facts)
