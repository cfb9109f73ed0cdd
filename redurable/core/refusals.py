"""What an orchestrator must not do although no loop method stands in its way: threads, sockets, processes, signal
handlers, sleeps that would hold up every other instance.

An audit hook sees them wherever they happen in the process, and objects only while a deterministic loop runs in that
thread. Files may be opened: imports and time zones open them, too.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from asyncio import events
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

from redurable.errors import NotDeterministic

_REFUSED = {
    "builtins.input": "input()",
    "os.exec": "os.exec*()",
    "os.fork": "os.fork()",
    "os.forkpty": "os.forkpty()",
    "os.posix_spawn": "os.posix_spawn()",
    "os.spawn": "os.spawn*()",
    "os.system": "os.system()",
    "socket.__new__": "opening a socket",
    "socket.bind": "socket.bind()",
    "socket.connect": "socket.connect()",
    "socket.getaddrinfo": "looking up a host name",
    "subprocess.Popen": "starting a process",
}

_REPLACED: tuple[tuple[Any, str, str, str], ...] = (
    (signal, "signal", "signal.signal()", "set handlers where the worker is started, and let them raise an event"),
    (threading.Thread, "start", "starting a thread", "do this in an activity"),
    (ThreadPoolExecutor, "submit", "handing work to an executor", "do this in an activity"),
    (time, "sleep", "time.sleep()", "await asyncio.sleep(…), which is a durable timer here and holds nobody up"),
)
"""(owner, function, what it is called, what to do instead): Python 3.11 has no audit events for them."""

_installed: list[type] = []


def install(loop_type: type) -> None:
    """Refuse them from now on while a loop of this type runs. An audit hook cannot be removed; once is enough."""
    if _installed:
        return
    _installed.append(loop_type)

    running_loop, refused = (
        events._get_running_loop,
        _REFUSED,
    )  # at the interpreter's end, globals are gone before hooks

    def inside() -> bool:
        return isinstance(running_loop(), loop_type)

    def audit(event: str, _: tuple[Any, ...]) -> None:
        if event in refused and inside():
            raise NotDeterministic(_refusal(refused[event], "do this in an activity"))

    for owner, name, what, instead in _REPLACED:
        setattr(owner, name, _refusing(getattr(owner, name), inside, _refusal(what, instead)))
    sys.addaudithook(audit)


def _refusing(call: Callable[..., Any], inside: Callable[[], bool], refusal: str) -> Callable[..., Any]:
    @wraps(call)
    def refuse_inside(*args: Any, **options: Any) -> Any:
        if inside():
            raise NotDeterministic(refusal)
        return call(*args, **options)

    return refuse_inside


def _refusal(what: str, instead: str) -> str:
    return f"{what} inside an orchestrator cannot be replayed: {instead}"
