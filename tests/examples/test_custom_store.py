"""`examples/custom_store/main.py`: a process begins, another one goes on with the same file."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAIN = ROOT / "examples" / "custom_store" / "main.py"
RESULT = "trip-1: ['train to Lisbon booked', 'hotel booked', 'museum booked']"
SECONDS = 40


@pytest.fixture
def run(tmp_path: Path) -> Callable[[], list[str]]:
    """Run the example in an empty folder; returns its lines, process ids left out."""

    def run_once() -> list[str]:
        done = subprocess.run(
            [sys.executable, str(MAIN)], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return [re.sub(r"process \d+", "a process", line).strip() for line in done.stdout.splitlines()]

    return run_once


def test_the_next_process_goes_on_with_the_file(run: Callable[[], list[str]], tmp_path: Path) -> None:
    *first, waits = run()
    assert sorted(first) == ["a process books the hotel", "a process books the train to Lisbon"]
    assert waits.startswith("trip-1 waits for approval")
    assert run() == ["trip-1 was found in the file. It is approved.", "a process books the museum", RESULT]
    assert run() == [RESULT]
    with closing(sqlite3.connect(tmp_path / "trips.db")) as file:
        assert file.execute("SELECT status FROM instances").fetchall() == [("Completed",)]
        for table in ("ready", "tasks", "mailbox", "intake", "outbox", "dead_letters", "workers"):
            assert file.execute(f"SELECT * FROM {table}").fetchall() == [], table
