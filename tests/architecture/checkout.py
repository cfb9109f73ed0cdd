"""The files of the project, as the rules see them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "redurable"

FOLDERS = (
    ".ci",
    ".github",
    "benchmarks",
    "deploy",
    "docs",
    "examples",
    "grafana",
    "prometheus",
    "redurable",
    "scripts",
    "tests",
)
CODE = (".py", ".lua", ".sh")


def files() -> Iterator[Path]:
    """Every text file of the project, none of what tools leave behind."""
    yield from (path for path in sorted(ROOT.iterdir()) if path.is_file() and path.name not in (".coverage", ".git"))
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def code() -> Iterator[Path]:
    """The files that limits of size apply to."""
    return (path for path in files() if path.suffix in CODE)


def name(path: Path) -> str:
    """A path as messages show it."""
    return path.relative_to(ROOT).as_posix()
