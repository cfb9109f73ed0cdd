"""Worker processes for tests: each leads a process group of its own, writes to a log file, and ends with the test.

A worker's environment holds none of the caller's REDURABLE_* settings, only those of the test. It also ends when its
standard input does, so none outlives a test run that was killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import anyio
import anyio.to_thread
from prometheus_client.parser import text_string_to_metric_families

from redurable.demo.effects import EFFECTS_VARIABLE

CHECKOUT = Path(__file__).parents[2]
SECONDS = 20.0
"""How long a test waits for what must happen."""
POLL_SECONDS = 0.02


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = SECONDS) -> None:
    """Look again and again until `condition`, a function or an async one, says yes; fail when it never does."""
    with anyio.move_on_after(seconds):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await anyio.sleep(POLL_SECONDS)
    raise AssertionError(f"not within {seconds:g} s: {what}")


class WorkerProcess:
    """`python -m MODULE …`; what it says on stdout and stderr is in the file `log`."""

    def __init__(self, words: Sequence[str], log: Path, effects: Path, settings: Mapping[str, int]) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("REDURABLE_")}
        given = {f"REDURABLE_{name.upper()}": str(value) for name, value in settings.items()}
        self.log = log
        with log.open("wb") as lines:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=CHECKOUT,
                env={**own, **given, EFFECTS_VARIABLE: str(effects)},
                stdin=subprocess.PIPE,
                stdout=lines,
                stderr=lines,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    @property
    def said(self) -> str:
        """All that it has said so far."""
        return self.log.read_text()

    @property
    def has_ended(self) -> bool:
        """Whether the process is over."""
        return self._popen.poll() is not None

    async def ready(self) -> None:
        """Wait until it works."""
        await until(lambda: "is ready" in self.said or self._popen.poll() is not None, f"{self.log.name} is ready")
        assert self._popen.poll() is None, f"ended with {self._popen.returncode}:\n{self.said}"

    async def ended(self, seconds: float = SECONDS) -> int:
        """Wait for its end; return its exit code: minus the signal's number when a signal ended it."""
        await until(lambda: self._popen.poll() is not None, f"{self.log.name} ends; it said:\n{self.said}", seconds)
        return self._popen.returncode

    async def killed(self) -> None:
        """Wait until it has killed itself, or was killed."""
        code = await self.ended()
        assert code == -signal.SIGKILL, f"ended with {code}:\n{self.said}"

    async def stopped(self) -> None:
        """Wait until it stands still, by SIGSTOP."""
        await until(self._is_stopped, f"{self.log.name} stands still; it said:\n{self.said}")

    @property
    def memory(self) -> int:
        """The bytes of memory that it holds now."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self._popen.send_signal(number)

    def close(self) -> None:
        """End its whole process group at once, stopped or not."""
        if self._popen.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        assert self._popen.stdin is not None
        self._popen.stdin.close()

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels, as the worker serves it now."""
        port = self.said.split("metrics on port ")[1].split()[0]
        text = await anyio.to_thread.run_sync(_read, f"http://127.0.0.1:{port}/metrics")
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    def _is_stopped(self) -> bool:
        assert self._popen.poll() is None, f"ended with {self._popen.returncode}:\n{self.said}"
        # The state follows the program's name, which is in brackets.
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def probe(port: int, path: str) -> int:
    """The status with which a process of this machine answers."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=20) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


def _read(url: str) -> str:
    with urlopen(url, timeout=20) as answer:
        return answer.read().decode()
