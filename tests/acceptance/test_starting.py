"""Whoever is told to stop while it still starts: it ends at once and well, and has begun nothing.

A module that its start imports sends the signal, so the moment is the same in every run. The first process of a
container, or of a namespace, is not killed by a signal that it does not handle: it would go on.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.shop_line import console_script

_SENDER = """
import os, signal
os.kill(os.getpid(), signal.{})
raise SystemExit("it went on")
"""
_AS_FIRST_PROCESS = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")


def _may_unshare() -> bool:
    try:
        return subprocess.run([*_AS_FIRST_PROCESS, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("words", "module", "stop"),
    [
        (("worker", "shop_app:app"), "typer", signal.SIGTERM),  # Before anything else is imported,
        (("worker", "shop_app:app"), "shop_app", signal.SIGINT),  # and amid the app's own code.
        (("serve", "--hub", "shop"), "uvicorn", signal.SIGTERM),
    ],
)
@pytest.mark.parametrize("first_process", [False, True])
def test_a_start_that_is_told_to_stop_ends_well(
    words: tuple[str, ...], module: str, stop: signal.Signals, first_process: bool, tmp_path: Path
) -> None:
    if first_process and not _may_unshare():
        pytest.skip("this machine lets nobody make a namespace of processes")
    (tmp_path / f"{module}.py").write_text(_SENDER.format(stop.name))
    done = subprocess.run(
        [*(_AS_FIRST_PROCESS if first_process else ()), console_script(), *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "REDURABLE_REDIS_URL": "embedded:data"},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"redurable: told to stop by {stop.name} before it was ready\n"
    assert not (tmp_path / "data").exists()
