"""The trace that the demo's activities leave in the world: a file with one line for every attempt.

A line is written before an attempt does anything else, by one append, so it is there even when the worker dies at once.
"""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from redurable import ActivityContext

EFFECTS_VARIABLE = "REDURABLE_DEMO_EFFECTS"
"""Environment variable with the file's path."""


class Effect(Struct, frozen=True):
    """One attempt of one activity."""

    key: str
    activity: str
    attempt: int
    pid: int


def record_effect(activity: str) -> int:
    """Append this attempt's line to the effects file; return the attempt's number."""
    context = ActivityContext.current()
    line = f"{context.idempotency_key}\t{activity}\t{context.attempt}\t{os.getpid()}\n"
    with Path(os.environ[EFFECTS_VARIABLE]).open("ab", buffering=0) as file:
        file.write(line.encode())
    return context.attempt


def read_effects(path: Path) -> list[Effect]:
    """All complete lines so far, oldest first."""
    text = path.read_text() if path.exists() else ""
    rows = (line.rstrip("\n").split("\t") for line in text.splitlines(keepends=True) if line.endswith("\n"))
    return [Effect(key, activity, int(attempt), int(pid)) for key, activity, attempt, pid in rows]
