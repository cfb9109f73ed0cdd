"""The Dockerfile as a list of instructions, and what tests need of them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

DOCKERFILE = Path(__file__).parents[2] / "deploy" / "docker" / "Dockerfile"


def instructions(path: Path = DOCKERFILE) -> list[tuple[str, str]]:
    """(instruction, arguments) in their order; comments are left out, continued lines are joined."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    pairs = (line.split(None, 1) for line in joined.splitlines() if line.strip())
    return [(name.upper(), arguments.strip()) for name, arguments in pairs]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, from its FROM on."""
    found: list[list[tuple[str, str]]] = []
    for name, arguments in instructions():
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, arguments))
    return found


def only(stage: list[tuple[str, str]], name: str) -> str:
    """The arguments of the one instruction of that name."""
    (found,) = [arguments for instruction, arguments in stage if instruction == name]
    return found


def words(text: str) -> list[str]:
    """The exec form."""
    return json.loads(text)


def variables(stage: list[tuple[str, str]]) -> dict[str, str]:
    """What ENV sets, unexpanded."""
    return dict(word.split("=", 1) for word in shlex.split(only(stage, "ENV")))
