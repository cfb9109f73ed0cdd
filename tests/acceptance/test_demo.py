"""`redurable demo` as a person runs it: it ends by itself, tells a readable story, and its promises hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(200)


def test_the_demo_keeps_its_promises(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "redurable", "demo"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    story = done.stdout
    assert "\x1b" not in story
    assert re.findall(r"^\[ *[\d.]+ s\] +(\d+)\.", story, re.MULTILINE) == [str(n) for n in range(1, 13)]
    assert re.search(
        r"redis-cli -s \S+ XADD rd:\{orders\}:intake '\*' instance order-42 event Approval data true id approval-1",
        story,
    )
    kept = re.findall(r"^  kept: (.+)$", story, re.MULTILINE)
    assert len(kept) == 4
    assert "NOT" not in story
    for event in ("EventRaised", "TimerFired", "SubOrchestrationCompleted", "ExecutionCompleted"):
        assert story.count(f" {event} ") == 1
    assert len(story.splitlines()) < 60
    assert list(tmp_path.iterdir()) == []
