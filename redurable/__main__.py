"""The command line, from its first line on: `python -m redurable`, and the script `redurable`.

A worker or an API that is told to stop while its process still starts has begun nothing, so it just ends, well. That is
heard before anything else is imported: the first process of a container would not even notice a signal that nobody
handles. Once it runs, it hears the signals itself.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LONG_RUNNING = ("worker", "serve")
THREADS_SECONDS = 1.0
"""How long threads have to end that nobody waits for any more."""


def run() -> None:
    """Run the command line and end the process with its exit code."""
    if sys.argv[1:2] and sys.argv[1] in _LONG_RUNNING:
        for number in _STOP_SIGNALS:
            signal.signal(number, _leave)
    from redurable.cli import main

    try:
        main.run()
    except SystemExit as end:
        if sys.argv[1:2] == ["worker"]:
            _end_without_threads(end)
        raise


def _end_without_threads(end: SystemExit) -> None:
    """A worker that has stopped waits for no activity that still runs in a thread: the interpreter would, for ever."""
    limit = time.monotonic() + THREADS_SECONDS
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            thread.join(max(0.0, limit - time.monotonic()))
            if thread.is_alive():
                # What the interpreter would do after the wait; it has no public name.
                atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


def _leave(number: int, frame: object) -> None:
    # No exception: half of an import, or a callback in the middle of it, might swallow it.
    try:
        os.write(2, f"redurable: told to stop by {signal.Signals(number).name} before it was ready\n".encode())
    finally:  # also when nobody reads that
        os._exit(0)


if __name__ == "__main__":
    run()
