"""The command line as a person uses it: processes in a directory with an app of theirs, and a person at a terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SECONDS = 20.0
SOURCE = """
import asyncio
from pathlib import Path

from redurable import ActivityContext, App, OrchestrationContext

app = App("shop")
GREETING = "Hello"


@app.activity
async def greet(name: str) -> str:
    return f"{GREETING} {name}"


@app.activity
async def linger(seconds: float) -> str:
    with Path("lingering").open("a") as trace:
        trace.write("begun ")
        trace.flush()
        await asyncio.sleep(seconds)
        trace.write("ended ")
    return "lingered"


@app.orchestrator
async def hello(ctx: OrchestrationContext, name: str, excited: bool = False) -> str:
    return await ctx.call_activity(greet, name) + ("!" if excited else ".")


@app.orchestrator
async def wait_for(ctx: OrchestrationContext, event: str) -> object:
    ctx.set_custom_status({"waiting_for": event})
    return await ctx.wait_for_external_event(event)


@app.activity
async def ask(question: str) -> object:
    Path("token").write_text(ActivityContext.current().complete_later())


@app.orchestrator
async def hand_over(ctx: OrchestrationContext, question: str) -> object:
    return await ctx.call_activity(ask, question)


@app.orchestrator
async def slow(ctx: OrchestrationContext, seconds: float) -> str:
    return await ctx.call_activity(linger, seconds)


@app.orchestrator
async def count_down(ctx: OrchestrationContext, left: int) -> str:
    if left:
        ctx.continue_as_new(left - 1)
    return "zero"


@app.orchestrator
async def fail(ctx: OrchestrationContext) -> None:
    raise ValueError("no\\nstock")
"""


class Shop:
    """A directory with an app, and the command line run in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "shop_app.py").write_text(SOURCE)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("REDURABLE_")}
        self.environment = {**clean, "REDURABLE_HUB": "shop", "REDURABLE_REDIS_URL": "embedded:data"}

    @property
    def socket(self) -> str:
        return str(self.directory / "data" / "run" / "valkey.sock")

    def run(self, *words: str, code: int = 0) -> str:
        """One command; returns what it printed, or what it said on stderr when it has to fail with `code`."""
        done = subprocess.run(
            [console_script(), *words],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "-o", "json"))

    def verdict(self, *words: str) -> Any:
        """What a command prints that ends with exit code 1 because of it."""
        done = subprocess.run(
            [console_script(), *words, "-o", "json"],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        return json.loads(done.stdout)

    def typed(self, answer: str, *words: str, **environment: str) -> str:
        """All that a person sees of a command at a terminal, who types that answer."""
        ours, theirs = pty.openpty()
        environment = {**self.environment, "TERM": "xterm-256color", "COLUMNS": "120", **environment}
        command = subprocess.Popen(
            [console_script(), *words], cwd=self.directory, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        os.write(ours, answer.encode())
        seen = b""
        with suppress(OSError):  # Linux says so that the other side has been closed.
            while part := os.read(ours, 4096):
                seen += part
        command.wait(SECONDS)
        os.close(ours)
        return seen.decode(errors="replace")

    @contextmanager
    def process(self, *words: str) -> Generator[Running]:
        """A command that goes on; killed at the end if it still runs."""
        running = Running(self, words)
        try:
            yield running
        finally:
            running.close()


class Running:
    """A process of the command line; its stderr is in a file."""

    def __init__(self, shop: Shop, words: tuple[str, ...]) -> None:
        self.log = shop.directory / f"{words[0]}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [console_script(), *words],
                cwd=shop.directory,
                env=shop.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        self._stdout = self.process.stdout

    def line(self, part: str) -> str:
        """The next line on stdout with that part."""
        for line in self._stdout:
            if part in line:
                return line
        raise AssertionError(f"it ended without saying {part!r}:\n{self.log.read_text()}")

    def end(self, *signals: signal.Signals) -> int:
        for number in signals:
            self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(SECONDS)
        self._stdout.close()


def console_script() -> str:
    """The program."""
    return str(Path(sys.executable).with_name("redurable"))


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for what other processes do."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.05)
