"""A worker as a process of its own, as a person would start it from a shell."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from redurable.demo.effects import EFFECTS_VARIABLE

READY_SECONDS = 10.0


class WorkerProcess:
    """`python -m redurable worker redurable.demo.orders:app`, with its log lines in a file."""

    def __init__(self, process: Process, log: Path) -> None:
        self._process = process
        self._log = log

    @classmethod
    async def start(cls, address: str, effects: Path, log: Path) -> WorkerProcess:
        """Start it and return when it is ready; raise `RuntimeError` with its log when it does not get so far."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("REDURABLE_")}
        words = [
            "redurable.demo.orders:app",
            "--redis",
            address,
            "--hub",
            "orders",
            "--metrics-port",
            "0",
            "--until-stdin-closes",
        ]
        with log.open("ab") as lines:
            process = await anyio.open_process(
                [sys.executable, "-m", "redurable", "worker", *words],
                env={**own, EFFECTS_VARIABLE: str(effects)},
                stderr=lines,
            )
        worker = cls(process, log)
        try:
            await worker._ready()
        except BaseException:
            await worker.stop()
            raise
        return worker

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    async def kill(self) -> int:
        """End it at once, as a crash would; return its exit code: minus the signal's number."""
        self._process.send_signal(signal.SIGKILL)
        return await self._process.wait()

    async def stop(self) -> None:
        """End it if it still runs, and wait."""
        with anyio.CancelScope(shield=True):
            if self._process.returncode is None:
                self._process.kill()
            await self._process.aclose()

    async def _ready(self) -> None:
        assert self._process.stdout is not None
        with anyio.move_on_after(READY_SECONDS):
            async for text in TextReceiveStream(self._process.stdout):
                if "is ready" in text:
                    return
        raise RuntimeError(f"worker process {self.pid} did not become ready. It said:\n{self._log.read_text()}")
