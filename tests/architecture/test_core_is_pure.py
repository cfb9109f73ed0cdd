"""`redurable.core` may use what is listed here, and nothing else.

The import rules (`lint-imports`) name what is forbidden and see chains of imports. This list is the other half: a
module of the standard library that nobody thought of is refused, and so is importing by name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.checkout import PACKAGE, name

PURE = {
    "__future__",
    "base64",
    "binascii",
    "bisect",
    "collections",
    "collections.abc",
    "contextlib",
    "contextvars",
    "dataclasses",
    "enum",
    "functools",
    "gc",
    "hashlib",
    "heapq",
    "itertools",
    "math",
    "msgspec",
    "operator",
    "re",
    "sys",
    "types",
    "typing",
}
# The deterministic loop is an asyncio loop, the eviction looks into the interpreter's frames, threads are refused by a
# patch: which files these are stands in the import rules in pyproject.toml.
FOR_SOME = {"asyncio", "concurrent.futures", "ctypes", "signal", "threading", "time"}
OURS = ("redurable.core", "redurable.errors")
IMPURE_BUILTINS = {"__import__", "compile", "eval", "exec", "input", "open", "print"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda path: path.name)
def test_core_imports_only_what_is_pure(path: Path) -> None:
    tree = ast.parse(path.read_text(), str(path))
    foreign = {module for module in _imports(tree) if not module.startswith(OURS)} - PURE
    assert foreign <= FOR_SOME, f"{name(path)} imports {foreign - FOR_SOME}"
    assert _called(tree) & IMPURE_BUILTINS == set()


def _called(tree: ast.Module) -> set[str]:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {function.id for function in calls if isinstance(function, ast.Name)}


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."
