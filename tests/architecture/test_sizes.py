"""Files of at most 400 lines, functions of at most 50 without their docstring. There is no list of exceptions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.checkout import code, name

FILE_LINES = 400
FUNCTION_LINES = 50

Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_files_stay_small() -> None:
    lengths = {name(path): len(path.read_text().splitlines()) for path in code()}
    assert {file: lines for file, lines in lengths.items() if lines > FILE_LINES} == {}


def test_functions_stay_small() -> None:
    lengths = {label: lines for path in code() if path.suffix == ".py" for label, lines in _functions(path)}
    assert {label: lines for label, lines in lengths.items() if lines > FUNCTION_LINES} == {}


def test_the_ruler_measures_bodies_without_docstrings() -> None:
    source = 'def f():\n    """One\n    two."""\n    a = 1\n\n    def g():\n        return a\n    return g\n'
    lengths = {node.name: _length(node) for node in ast.walk(ast.parse(source)) if isinstance(node, Function)}
    assert lengths == {"f": 6, "g": 2}


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, Function):
            yield f"{name(path)}:{node.lineno} {node.name}", _length(node)


def _length(function: Function) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines
