"""Worker processes that come and go as an autoscaler says, and the API that it asks."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from os import environ
from pathlib import Path
from urllib.request import Request, urlopen

import anyio
import anyio.to_thread

from benchmarks.errors import BenchmarkFailed

READY_SECONDS = 60.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.02
READ_KEY = "autoscaler-0123456789"


class Member:
    """A `redurable` process with a log file; it ends with its parent."""

    def __init__(self, words: list[str], log: Path, variables: Mapping[str, str]) -> None:
        self._log = log
        kept = {name: value for name, value in environ.items() if not name.startswith("REDURABLE_")}
        with log.open("wb") as lines:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "redurable", *words],
                cwd=Path(__file__).parents[1],
                env={**kept, **variables},
                stdin=subprocess.PIPE,
                stdout=lines,
                stderr=lines,
            )

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self._log.read_text()

    @property
    def ready(self) -> bool:
        """Whether it works; raises `BenchmarkFailed` when it has ended."""
        if self.process.poll() is not None:
            raise BenchmarkFailed(f"{self._log.name} ended with {self.process.returncode}: {self.said[-2000:]}")
        return "is ready" in self.said

    async def until_ready(self) -> None:
        """Wait for it."""
        with anyio.move_on_after(READY_SECONDS):
            while not self.ready:  # noqa: ASYNC110 - it is another process
                await anyio.sleep(POLL_SECONDS)
            return
        raise BenchmarkFailed(f"{self._log.name} was not ready within {READY_SECONDS:g} s: {self.said[-2000:]}")

    def terminate(self) -> None:
        """SIGTERM, as a kubelet does."""
        self.process.send_signal(signal.SIGTERM)

    async def ended(self) -> None:
        """Wait for its end in peace; raises `BenchmarkFailed` when it is another one.

        A worker that is told to end while it is still starting holds nothing, and may be ended by the signal itself.
        """
        with anyio.move_on_after(STOP_SECONDS):
            while self.process.poll() is None:  # noqa: ASYNC110 - it is another process
                await anyio.sleep(POLL_SECONDS)
            if self.process.returncode and (self.said or self.process.returncode != -signal.SIGTERM):
                raise BenchmarkFailed(f"{self._log.name} ended with {self.process.returncode}: {self.said[-2000:]}")
            return
        raise BenchmarkFailed(f"{self._log.name} did not end within {STOP_SECONDS:g} s")

    def close(self) -> None:
        """End it at once."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()


class Fleet:
    """The workers of one pool, and the API."""

    def __init__(self, words: list[str], directory: Path, variables: Mapping[str, str]) -> None:
        self._words = words
        self._directory = directory
        self._variables = variables
        self._pods: list[Member] = []
        self._all: list[Member] = []
        self._url = ""

    @property
    def size(self) -> int:
        """Pods that were not told to end."""
        return len(self._pods)

    @property
    def started(self) -> int:
        """Pods that ever were."""
        return len(self._all)

    @property
    def ready(self) -> int:
        """Those that work."""
        return sum(pod.ready for pod in self._pods)

    def resize(self, wanted: int) -> None:
        """Begin new ones, or tell the newest to end; neither is waited for."""
        while self.size < wanted:
            pod = Member(self._words, self._directory / f"worker-{self.started}.log", self._variables)
            self._pods.append(pod)
            self._all.append(pod)
        while self.size > wanted:
            self._pods.pop().terminate()

    async def until_ready(self) -> None:
        """Wait until all of them work."""
        for pod in self._pods:
            await pod.until_ready()

    async def all_ended(self) -> None:
        """Tell the last ones to end, and wait until each has ended in peace."""
        self.resize(0)
        for pod in self._all:
            await pod.ended()

    async def figure(self) -> float:
        """What the API says, asked as KEDA asks."""
        request = Request(f"{self._url}/scaler", headers={"x-functions-key": READ_KEY})
        return float(await anyio.to_thread.run_sync(_read, request))

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """The API runs; at the end nothing of all does any more."""
        keys = {"REDURABLE_HTTP_KEYS": f"keda:read:{READ_KEY}"}
        api = Member(["serve", "--port", "0"], self._directory / "api.log", {**self._variables, **keys})
        try:
            await api.until_ready()
            found = re.search(r"listening on (http://\S+)", api.said)
            assert found is not None
            self._url = found[1]
            yield
        finally:
            for member in (api, *self._all):
                member.close()


def _read(request: Request) -> bytes:
    with urlopen(request, timeout=5) as answer:
        return answer.read()
