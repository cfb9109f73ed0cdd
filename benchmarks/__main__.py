"""`python -m benchmarks [--only hello_sequence,chain_500] [--json PATH] [--server redis|valkey]`

Prints a table; the last line is one JSON object, which `--json` also writes to a file. Exit code 1 when a result is
wrong, something stands still, or the server does not say appendonly yes, appendfsync everysec; 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio

from benchmarks.bench import Bench
from benchmarks.errors import BenchmarkFailed
from benchmarks.report import json_line, table
from benchmarks.server import KINDS, Kind, Settings, running_server, settings_of
from benchmarks.suite import WORKLOADS, measure
from benchmarks.worker import LOOP, LOOP_OPTIONS
from redurable import RedurableError, WorkerSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks as the command line says; return the exit code."""
    options = _parser().parse_args(arguments)
    return start(options.only, options.json, options.server)


def start(names: Sequence[str], path: Path | None = None, server: Kind | None = None, **given: Any) -> int:
    """Run these workloads on a server of their own; `given` goes to `Bench`. Return the exit code."""
    failed: BaseException | None = None
    try:
        with running_server(server) as socket:
            line = anyio.run(partial(run, Bench(socket, **given), names), backend_options=LOOP_OPTIONS)
            if path is not None:
                path.write_text(line + "\n")
    except* (BenchmarkFailed, RedurableError, TimeoutError) as failures:
        failed = _first(failures)
    if failed is not None:
        print(f"the benchmark failed: {failed}", file=sys.stderr)
    return 0 if failed is None else 1


async def run(bench: Bench, names: Sequence[str]) -> str:
    """Measure and print; return the last line."""
    settings = await settings_of(bench.socket)
    settings.check()
    print(_surroundings(settings), flush=True)
    figures, notes = await measure(bench, names, lambda what: print(f"  measuring {what}", file=sys.stderr, flush=True))
    line = json_line(figures, settings.version, settings.appendfsync)
    print(table(figures, notes), line, sep="\n", flush=True)
    return line


def _surroundings(settings: Settings) -> str:
    names = [f"REDURABLE_{field.upper()}" for field in WorkerSettings.model_fields]
    chosen = [f"{name}={os.environ[name]}" for name in names if name in os.environ]
    loop = "uvloop (installed)" if LOOP == "uvloop" else "asyncio (uvloop is not installed)"
    return (
        f"{settings.version}, appendonly {settings.appendonly}, appendfsync {settings.appendfsync}, unix socket; "
        f"Python {platform.python_version()}, {loop}, {os.cpu_count()} cores\n"
        f"one worker process with {' '.join(chosen) or 'default settings'}, the load client in another\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="What redurable costs, against a floor.")
    parser.add_argument(
        "--only", type=_names, default=list(WORKLOADS), metavar="A,B", help=f"some of {', '.join(WORKLOADS)}"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the last line to this file, too")
    parser.add_argument("--server", choices=KINDS, help="default: Redis if it is installed, else Valkey")
    return parser


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = sorted(set(names) - set(WORKLOADS))
    if unknown:
        raise argparse.ArgumentTypeError(f"no workload {', '.join(unknown)}: choose from {', '.join(WORKLOADS)}")
    return names or list(WORKLOADS)


def _first(failure: BaseException) -> BaseException:
    """The error itself, out of the groups that task groups wrap it in."""
    if isinstance(failure, BaseExceptionGroup):
        return _first(cast("BaseExceptionGroup[BaseException]", failure).exceptions[0])
    return failure


if __name__ == "__main__":
    # So that the server and the worker are ended when this process is asked to end.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
