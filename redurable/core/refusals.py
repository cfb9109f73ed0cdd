"""What an orchestrator must not do although no loop method stands in its way: threads, sockets, processes.

An audit hook sees them wherever they happen in the process, and objects only while a deterministic loop runs in that
thread. Files may be opened: imports and time zones open them, too.
"""

from __future__ import annotations

import sys
import threading
from asyncio import events
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

_installed: list[type] = []


def install(loop_type: type) -> None:
    """Refuse them from now on while a loop of this type runs. An audit hook cannot be removed; once is enough."""
    if _installed:
        return
    _installed.append(loop_type)

    def inside() -> bool:
        return isinstance(events._get_running_loop(), loop_type)

    def audit(event: str, _: tuple[Any, ...]) -> None:
        if event in _REFUSED and inside():
            raise NotDeterministic(
                f"{_REFUSED[event]} inside an orchestrator cannot be replayed: do this in an activity"
            )

    # Python 3.11 has no audit event for threads.
    start = threading.Thread.start

    def start_thread(self: threading.Thread) -> None:
        if inside():
            raise NotDeterministic(
                f"starting thread {self.name!r} inside an orchestrator cannot be replayed: do this in an activity"
            )
        start(self)

    threading.Thread.start = start_thread
    sys.addaudithook(audit)
