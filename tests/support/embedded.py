"""Processes with an `EmbeddedServer` of their own, and what a test can see of the processes around it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from redis import Redis

PROCESS = """
import asyncio, multiprocessing, signal, sys, time, warnings
from pathlib import Path
from redurable.store.embedded import EmbeddedServer

signal.signal(signal.SIGINT, signal.SIG_IGN)  # As a worker that drains first.

async def main():
    server = EmbeddedServer(Path(sys.argv[1]))
    for line in iter(sys.stdin.readline, ""):
        match line.strip():
            case "ensure":
                print(await server.ensure(), server.owns, flush=True)
            case "fork":
                warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 advises against what is tried here.
                child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True)
                child.start()
                print(child.pid, server.owns, flush=True)
            case "stop":
                await server.stop()
                print("stopped", server.owns, flush=True)

asyncio.run(main())
"""


class Process:
    """A process of its own session with an `EmbeddedServer` of `directory`; it ends when its standard input does."""

    def __init__(self, directory: Path) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROCESS, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self._popen.pid

    def say(self, word: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(word + "\n")
        self._popen.stdin.flush()

    def hear(self) -> tuple[str, bool]:
        assert self._popen.stdout is not None
        word, _, owns = self._popen.stdout.readline().strip().rpartition(" ")
        return word, owns == "True"

    def ask(self, word: str) -> tuple[str, bool]:
        self.say(word)
        return self.hear()

    def end(self) -> int:
        """Let it end by itself."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.close()
        self._popen.stdout.close()
        return self._popen.wait(20)

    def kill(self) -> None:
        self._popen.kill()
        self.end()


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for a condition of other processes."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """A zombie that its new parent has not reaped yet is not alive."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], stdout=subprocess.PIPE, text=True, check=False)
    return bool(done.stdout.strip()) and not done.stdout.startswith("Z")


def running(directory: str) -> list[int]:
    """The pids of the guards and servers whose command line names something in `directory`."""
    done = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,stat=,args="], stdout=subprocess.PIPE, text=True, check=True)
    lines = [line.split(None, 2) for line in done.stdout.splitlines()]
    return [int(pid) for pid, stat, args in lines if "valkey-server" in args and directory in args and stat[0] != "Z"]


def redis(path: str, *command: str | int) -> Any:
    with Redis(unix_socket_path=path, decode_responses=True) as client:
        return cast(Any, client).execute_command(*command)


def server_pid(path: str) -> int:
    return redis(path, "INFO", "server")["process_id"]


def guard_of(pid: int) -> int:
    done = subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


def answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0
