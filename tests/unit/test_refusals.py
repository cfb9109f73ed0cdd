"""What no loop method stands in the way of is refused, too, and only inside orchestrators."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import pytest

from redurable.core.events import ExecutionFailed
from tests.support.story import Ctx, Story


def outcome(act: Callable[[], Any]) -> tuple[str, str]:
    async def body(ctx: Ctx) -> str:
        result = act()
        if asyncio.iscoroutine(result):
            await result
        return "1"

    story = Story(body)
    story.turn()
    end = story.history[-1]
    assert isinstance(end, ExecutionFailed), f"{act} was not refused"
    return end.failure.type, end.failure.message


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: threading.Thread(target=print, name="mine").start(), "starting thread 'mine'"),
        (lambda: anyio.to_thread.run_sync(print), "starting thread"),
        (socket.socket, "opening a socket"),
        (lambda: socket.getaddrinfo("localhost", 80), "looking up a host name"),
        (lambda: subprocess.run(["true"], check=True), "starting a process"),
        (lambda: os.posix_spawn("/bin/true", ["true"], {}), "os.posix_spawn()"),
        (lambda: asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print), "add_signal_handler"),
        (lambda: asyncio.get_running_loop().set_task_factory(None), "set_task_factory"),
        (lambda: asyncio.get_running_loop().call_soon_threadsafe(print), "call_soon_threadsafe"),
    ],
)
def test_refused_with_what_to_do_instead(act: Callable[[], Any], said: str) -> None:
    kind, message = outcome(act)
    assert kind == "NotDeterministic"
    assert said in message
    assert "do this in an activity" in message


def test_outside_orchestrators_nothing_is_refused() -> None:
    Story(lambda ctx: ctx.activity("A")).turn()  # pyright: ignore[reportArgumentType] - any awaitable will do
    ran: list[int] = []
    thread = threading.Thread(target=ran.append, args=(1,))
    thread.start()
    thread.join()
    socket.socket().close()
    assert ran == [1]
