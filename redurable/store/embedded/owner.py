"""The owner's side: which servers this process started, and how they end.

The owner holds the write end of its guard's standard input; closing it, in whatever way, ends the server. Several
`EmbeddedServer` objects of one process may use the same directory: the last that is released ends the server.

Invariant: whoever starts a server holds the lock of the data directory and hands it down; so there is never a second.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from pathlib import Path
from weakref import WeakSet

from msgspec import Struct

from redurable.errors import StoreRefused
from redurable.store.embedded import guard
from redurable.store.embedded.binary import server_binary
from redurable.store.embedded.places import (
    Places,
    make_data_directory,
    make_socket_directory,
    open_log,
    remove_socket_directory,
    try_lock,
    unusable,
)

END_SECONDS = 3 * guard.GRACE_SECONDS


class Guard(Struct, frozen=True, eq=False):
    """A guard that this process started; `log_start` is where in the log its words begin, in bytes."""

    places: Places
    process: subprocess.Popen[bytes]
    log_start: int

    def let_go(self) -> None:
        """Tell the guard to end the server. Does not wait."""
        if self.process.stdin is not None:
            self.process.stdin.close()

    def wait(self) -> None:
        """Return when guard and server are gone; blocks."""
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_changing = threading.Lock()
_guards: dict[Path, Guard] = {}
_users: dict[Path, WeakSet[object]] = {}


def use(places: Places, user: object) -> None:
    """Count `user` among those of this process that need the server."""
    if user in _users.get(places.directory, ()):
        return  # The common case takes no lock, which a start in another thread may hold for some ms.
    with _changing:
        _users.setdefault(places.directory, WeakSet()).add(user)


def owns(places: Places) -> bool:
    """Whether this process started the server and it still runs."""
    owned = _guards.get(places.directory)
    return owned is not None and owned.process.poll() is None


def start(places: Places) -> Guard | None:
    """Start the server, or return None when the lock is held: another one runs, starts or ends. Blocks for some ms."""
    binary = server_binary()
    with _changing:
        try:
            make_data_directory(places)
            lock = try_lock(places)
            if lock is None:
                return None
            try:
                _forget(places.directory)
                make_socket_directory(places)
                started = _spawn(binary, places, lock)
            finally:
                os.close(lock)
        except OSError as error:
            raise unusable(places, error) from error
        _guards[places.directory] = started
        return started


def release(places: Places, user: object) -> Guard | None:
    """Take `user` out of the count; when it was the last and the server is ours, let go of it and return its guard."""
    with _changing:
        users = _users.get(places.directory)
        if users is not None:
            users.discard(user)
            if users:
                return None
            del _users[places.directory]
        owned = _guards.pop(places.directory, None)
        if owned is not None:
            owned.let_go()
        return owned


def end(owned: Guard) -> None:
    """Return when a server that was let go of is gone. Blocks."""
    owned.wait()
    with _changing:
        try:
            lock = try_lock(owned.places)
        except FileNotFoundError:
            return  # Somebody removed the data directory.
        if lock is not None:  # Else somebody else has started a server already.
            try:
                remove_socket_directory(owned.places)
            finally:
                os.close(lock)


def _forget(directory: Path) -> None:
    """Drop a guard of ours whose server died; the free lock says that it is gone."""
    ended = _guards.pop(directory, None)
    if ended is not None:
        ended.let_go()
        ended.wait()


def _spawn(binary: Path, places: Places, lock: int) -> Guard:
    if not sys.executable:
        raise StoreRefused(
            "the embedded server needs a Python interpreter to run its guard, and sys.executable is empty"
        )
    log = open_log(places)
    try:
        log_start = os.fstat(log).st_size
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, *_server_command(binary, places)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            bufsize=0,
            cwd=places.directory,
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C in the terminal is for the workers, which drain before they let go.
        )
    except OSError as error:
        raise StoreRefused(f"the guard of the embedded server cannot be run with {sys.executable}: {error}") from error
    finally:
        os.close(log)
    return Guard(places, process, log_start)


def _server_command(binary: Path, places: Places) -> list[str]:
    settings = {
        "port": "0",
        "unixsocket": str(places.socket),
        "unixsocketperm": "700",
        "dir": str(places.directory),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": "",
        "set-proc-title": "no",  # `ps` goes on showing which directory it serves.
    }
    return [str(binary), *(part for name, value in settings.items() for part in (f"--{name}", value))]


def _end_all() -> None:
    """At exit of a process that stopped nothing: what it owned ends with it, not a moment later."""
    with _changing:
        owned = list(_guards.values())
        _guards.clear()
        _users.clear()
    for each in owned:
        each.let_go()
    for each in owned:
        end(each)


def _disown() -> None:
    """In a forked child: the parent's servers are not ours, and must not live until we end too."""
    for inherited in _guards.values():
        inherited.let_go()
        inherited.process.returncode = 0  # Not our child: never wait for it, never warn about it.
    _guards.clear()
    _users.clear()
    _changing.release()


atexit.register(_end_all)
os.register_at_fork(before=_changing.acquire, after_in_parent=_changing.release, after_in_child=_disown)
