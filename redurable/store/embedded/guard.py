"""The guard: a tiny process between the owner and the server. It ends the server when the owner is gone.

Run by `owner.py` as `python -I -S guard.py <server command>`; so it uses the standard library only and imports nothing
of redurable. It inherits:

- standard input: a pipe whose write end only the owner has. It becomes readable (end of file) when the owner closes
  it, ends, or is killed: then the server is asked to end (SIGTERM), and killed when it does not.
- the locked file descriptor of the data directory, which the server inherits in turn without knowing it. So the lock
  is free exactly when neither of the two (nor a process that the server forked to rewrite its files) is left.
- standard output and error: the log file.

On Linux the kernel kills the server should the guard be killed. Elsewhere such a server lives on, keeps its lock, and
later processes attach to it.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from types import FrameType

OWNER = 0
LOG = 2
GRACE_SECONDS = 5.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PR_SET_PDEATHSIG = 1
NOT_STARTED = 127


def main(command: list[str]) -> int:
    """Run `command` until it ends or must end; return its exit code, 128 + the signal that killed it, or 0 when it
    was ended on purpose."""
    wake = _wake_on_signals()
    server = _start(command)
    while True:
        readable, _, _ = select.select([OWNER, wake], [], [])
        signals = os.read(wake, 512) if wake in readable else b""
        code = _exit_code(server)
        if code is not None:
            return code
        if OWNER in readable or any(number in signals for number in STOP_SIGNALS):
            os.write(LOG, b"guard: the owner is gone or asks to stop, ending the server\n")
            _end(server, wake)
            return 0


def _wake_on_signals() -> int:
    """Return a descriptor that becomes readable when a signal arrives: one byte per signal, its number."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # The thread that started us may have blocked some.
    wake, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *STOP_SIGNALS):
        signal.signal(number, _noted)
    return wake


def _noted(number: int, frame: FrameType | None) -> None:
    """A handler has to exist for the byte to be written."""


def _start(command: list[str]) -> int:
    guard = os.getpid()
    server = os.fork()
    if server:
        return server
    try:
        _die_with(guard)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execv(command[0], command)
    except OSError as error:
        os.write(LOG, f"guard: cannot run {command[0]}: {error}\n".encode())
    finally:
        os._exit(NOT_STARTED)


def _die_with(guard: int) -> None:
    """Have the kernel kill this process when the guard dies; it survives exec."""
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != guard:
        os._exit(NOT_STARTED)  # It died before the kernel knew.


def _exit_code(server: int) -> int | None:
    """How the server ended, or None while it runs."""
    pid, status = os.waitpid(server, os.WNOHANG)
    if not pid:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _end(server: int, wake: int) -> None:
    """Return when the server is gone: gracefully within the grace period, else killed."""
    os.kill(server, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while _exit_code(server) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            os.write(LOG, b"guard: the server does not end, killing it\n")
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)
            return
        readable, _, _ = select.select([wake], [], [], left)
        if readable:
            os.read(wake, 512)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
