"""What no loop method stands in the way of is refused, too, and only inside orchestrators."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
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
        (lambda: threading.Thread(target=print, name="mine").start(), "starting a thread"),
        (lambda: anyio.to_thread.run_sync(print), "starting a thread"),
        (socket.socket, "opening a socket"),
        (lambda: socket.getaddrinfo("localhost", 80), "looking up a host name"),
        (lambda: subprocess.run(["true"], check=True), "starting a process"),
        (lambda: os.posix_spawn("/bin/true", ["true"], {}), "os.posix_spawn()"),
        (lambda: asyncio.open_unix_connection("/tmp/nobody"), "create_unix_connection"),
        (lambda: asyncio.start_server(print, "127.0.0.1", 0), "create_server"),
        (lambda: asyncio.create_subprocess_shell("true"), "subprocess_shell"),
        (lambda: asyncio.get_running_loop().add_reader(0, print), "add_reader"),
        (lambda: anyio.run_process(["true"]), "subprocess_exec"),
        (lambda: anyio.open_file(__file__), "starting a thread"),
        (lambda: anyio.create_tcp_listener(), "getaddrinfo"),
        (os.fork, "os.fork()"),
        (lambda: ThreadPoolExecutor(1).submit(print), "handing work to an executor"),
    ],
)
def test_refused_with_what_to_do_instead(act: Callable[[], Any], said: str) -> None:
    kind, message = outcome(act)
    assert kind == "NotDeterministic"
    assert said in message
    assert "do this in an activity" in message


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


@pytest.mark.parametrize(
    ("act", "said", "instead"),
    [
        (lambda: _loop().add_signal_handler(signal.SIGTERM, print), "loop.add_signal_handler()", "as an event"),
        (lambda: signal.signal(signal.SIGUSR1, signal.SIG_DFL), "signal.signal()", "let them raise an event"),
        (lambda: _loop().call_soon_threadsafe(print), "loop.call_soon_threadsafe()", "raise it in the other thread"),
        (lambda: _loop().set_task_factory(None), "loop.set_task_factory()", "leave it as it is"),
        (lambda: _loop().set_exception_handler(None), "loop.set_exception_handler()", "leave it as it is"),
        (lambda: _loop().run_forever(), "loop.run_forever()", "await what you wait for"),
        (lambda: _loop().stop(), "loop.stop()", "leave it as it is"),
        (lambda: time.sleep(0.001), "time.sleep()", "await asyncio.sleep(…)"),
        (lambda: asyncio.Task(asyncio.sleep(1)), "asyncio.Task(…)", "asyncio.create_task(…)"),
    ],
)
def test_where_an_activity_is_no_answer_the_error_names_another(
    act: Callable[[], Any], said: str, instead: str
) -> None:
    kind, message = outcome(act)
    assert kind == "NotDeterministic"
    assert said in message
    assert instead in message


def test_outside_orchestrators_nothing_is_refused() -> None:
    Story(lambda ctx: ctx.activity("A")).turn()  # pyright: ignore[reportArgumentType] - any awaitable will do
    ran: list[int] = []
    thread = threading.Thread(target=ran.append, args=(1,))
    thread.start()
    thread.join()
    socket.socket().close()
    time.sleep(0)
    signal.signal(signal.SIGUSR1, signal.signal(signal.SIGUSR1, signal.SIG_IGN))
    assert ran == [1]
