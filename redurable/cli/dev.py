"""`redurable dev`: a local server that stays, and a worker process that is replaced whenever code changes."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import typer
from anyio.abc import Process

from redurable.cli.command import Target, command
from redurable.cli.worker import STOP_SIGNALS, AppArgument, PortOption
from redurable.errors import MissingExtra
from redurable.store.address import EmbeddedAddress, read_address
from redurable.store.embedded import EmbeddedServer

GRACE_SECONDS = 5.0


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "dev")(dev)


async def dev(target: Target, app: AppArgument, metrics_port: PortOption = None) -> None:
    """Run a worker anew whenever code changes, on a local server.

    It watches the Python files below this directory. Without --redis it keeps a Valkey in ./.redurable, which other
    commands in this directory use as well.
    """
    words = [app, "--redis", target.address, "--until-stdin-closes"]
    words += ["--hub", target.hub] if target.hub else []
    words += ["--metrics-port", str(metrics_port)] if metrics_port is not None else []
    stop = anyio.Event()
    async with _server(target.address), anyio.create_task_group() as group:
        group.start_soon(_set_on_signal, stop)
        await _serve(words, stop)
        group.cancel_scope.cancel()


@asynccontextmanager
async def _server(address: str) -> AsyncGenerator[None, None]:
    """Hold the embedded server, so that it outlives the workers; nothing for other addresses."""
    where = read_address(address)
    if not isinstance(where, EmbeddedAddress):
        yield
        return
    server = EmbeddedServer(where.directory)
    try:
        _say(f"Valkey serves {server.directory} on {await server.ensure()}")
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await server.stop()


async def _set_on_signal(stop: anyio.Event) -> None:
    with anyio.open_signal_receiver(*STOP_SIGNALS) as signals:
        async for _ in signals:
            stop.set()


async def _serve(words: list[str], stop: anyio.Event) -> None:
    """One worker after another, until `stop`."""
    try:
        from watchfiles import PythonFilter, awatch  # pyright: ignore[reportUnknownVariableType] - it names trio
    except ModuleNotFoundError:
        raise MissingExtra("dev watches files with watchfiles: pip install 'redurable[embedded]'") from None
    async with anyio.create_task_group() as group:
        worker = await _Worker.start(words)
        group.start_soon(worker.tell_of_its_end)
        try:
            async for changes in awatch(Path.cwd(), watch_filter=PythonFilter(), stop_event=stop):
                _say(f"{_relative(min(path for _, path in changes))} changed, starting a new worker")
                await worker.stop()
                worker = await _Worker.start(words)
                group.start_soon(worker.tell_of_its_end)
        finally:
            await worker.stop()


class _Worker:
    """A worker process. In a session of its own, so that Ctrl-C reaches it through `stop` and not twice; it ends by
    itself when this process is gone, because that closes its standard input."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._wanted = True

    @classmethod
    async def start(cls, words: list[str]) -> _Worker:
        command = [sys.executable, "-m", "redurable", "worker", *words]
        return cls(await anyio.open_process(command, stdout=None, stderr=None, start_new_session=True))

    async def tell_of_its_end(self) -> None:
        """Return when it has ended; say so when nobody asked for that."""
        code = await self._process.wait()
        if self._wanted:
            _say(f"the worker ended with code {code}; the next change of a file starts a new one")

    async def stop(self) -> None:
        """Let it finish what runs, but not for long: what is cut off is taken over after its lease."""
        self._wanted = False
        with anyio.CancelScope(shield=True):
            if self._process.returncode is None:
                self._process.send_signal(signal.SIGTERM)
            with anyio.move_on_after(GRACE_SECONDS):
                await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
            await self._process.aclose()


def _relative(path: str) -> Path:
    found = Path(path)
    return found.relative_to(Path.cwd()) if found.is_relative_to(Path.cwd()) else found


def _say(text: str) -> None:
    print(f"redurable dev: {text}", flush=True)
