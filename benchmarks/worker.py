"""The worker under test, as one process of its own: `python -m benchmarks.worker MODULE:APP ADDRESS HUB`.

It prints one line when it is ready, and ends when its standard input does. It runs on uvloop where that is installed;
redurable does not depend on it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import anyio
from anyio.abc import Process

from benchmarks.errors import BenchmarkFailed
from redurable import Worker
from redurable.cli.loading import load_app
from redurable.worker.process import settle_in

READY_SECONDS = 20.0
STOP_SECONDS = 30.0
CHECKOUT = Path(__file__).parents[1]
LOOP = "uvloop" if find_spec("uvloop") else "asyncio"
LOOP_OPTIONS = {"use_uvloop": LOOP == "uvloop"}
_TICKS = os.sysconf("SC_CLK_TCK")


class WorkerProcess:
    """A running worker."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def cpu_seconds(self) -> float:
        """What it has used so far; 0 where the system does not tell."""
        try:
            # The fields follow the program's name, which is in brackets.
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / _TICKS


@asynccontextmanager
async def worker_process(app: str, address: str, hub: str) -> AsyncGenerator[WorkerProcess]:
    """Run a worker as long as the block; raises `BenchmarkFailed` when it does not start, dies or does not end well."""
    command = [sys.executable, "-m", "benchmarks.worker", app, address, hub]
    process = await anyio.open_process(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stderr=None)
    try:
        await _ready(process)
        async with anyio.create_task_group() as group:
            group.start_soon(_watch, process)
            yield WorkerProcess(process)
            group.cancel_scope.cancel()
        await _stop(process)
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def _ready(process: Process) -> None:
    assert process.stdout is not None
    with anyio.move_on_after(READY_SECONDS):
        try:
            await process.stdout.receive()
        except anyio.EndOfStream:
            raise BenchmarkFailed(f"the worker ended with code {await process.wait()} before it was ready") from None
        return
    raise BenchmarkFailed(f"the worker was not ready within {READY_SECONDS:.0f} s")


async def _watch(process: Process) -> None:
    code = await process.wait()
    raise BenchmarkFailed(f"the worker ended with code {code} while it was measured")


async def _stop(process: Process) -> None:
    assert process.stdin is not None
    await process.stdin.aclose()
    with anyio.move_on_after(STOP_SECONDS):
        code = await process.wait()
        if code:
            raise BenchmarkFailed(f"the worker ended with code {code}")
        return
    raise BenchmarkFailed(f"the worker did not stop within {STOP_SECONDS:.0f} s")


async def serve(app: str, address: str, hub: str) -> None:
    """Work until standard input ends."""
    loaded = load_app(app)
    settle_in()
    async with Worker(loaded, address, hub=hub) as worker, anyio.create_task_group() as group:
        group.start_soon(_stop_at_end_of_stdin, worker)
        print("ready", flush=True)
        await worker.run()
        group.cancel_scope.cancel()


async def _stop_at_end_of_stdin(worker: Worker) -> None:
    while True:
        await anyio.wait_readable(sys.stdin.fileno())
        if not os.read(sys.stdin.fileno(), 4096):
            worker.stop()
            return


if __name__ == "__main__":
    anyio.run(partial(serve, *sys.argv[1:4]), backend_options=LOOP_OPTIONS)
