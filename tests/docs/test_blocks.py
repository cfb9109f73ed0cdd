"""Every Python block of the documents runs: the blocks of one document in order, in one module, in an empty directory.

`await` may stand at the top of a block; the blocks of a document then share one event loop. A block of ```` ```text
output ```` behind a Python block is what that one prints.

Blocks of ```` ```sh ```` are those of `test_shell_blocks`.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType

import pytest

from tests.docs.markdown import Block, blocks, documents, name

EXECUTED = [path for path in documents() if any(b.language == "python" and not b.marks for b in blocks(path))]
FRAGMENTS = [b for path in documents() for b in blocks(path) if b.language == "python" and b.marks]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """What the blocks are executed in: a module of its own, because annotations and pickles look for one."""
    monkeypatch.chdir(tmp_path)
    for variable in ("REDURABLE_REDIS_URL", "REDURABLE_HUB"):
        monkeypatch.delenv(variable, raising=False)
    # `memory://` is shared by a process, and documents call their hubs alike: each gets a memory without instances.
    monkeypatch.setattr("redurable.store.memory.state._hubs", {})
    module = ModuleType("document")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_the_front_page_has_an_example_that_runs() -> None:
    assert "README.md" in [name(path) for path in EXECUTED]


@pytest.mark.parametrize("document", EXECUTED, ids=name)
def test_blocks_run(document: Path, module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    printed = ""
    with asyncio.Runner() as runner:
        for block in of_python(blocks(document)):
            if block.language == "python" and not block.marks:
                _execute(block, module, runner)
                printed = capsys.readouterr().out
            elif block.marks == ("output",):
                assert printed == block.text, f"{block.document}:{block.line}"


def of_python(every: Sequence[Block]) -> Iterator[Block]:
    """All but what the blocks of shell commands print (see `test_shell_blocks`)."""
    printer = ""
    for block in every:
        if block.marks != ("output",) or printer != "sh":
            yield block
        printer = block.language


def test_fragments_are_marked_as_such_and_are_python() -> None:
    for block in FRAGMENTS:
        assert block.marks == ("fragment",), f"{block.document}:{block.line}"
        ast.parse(block.text, block.document)


def _execute(block: Block, module: ModuleType, runner: asyncio.Runner) -> None:
    source = "\n" * (block.line - 1) + block.text  # so that tracebacks show the document's lines
    code = compile(source, block.document, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    if code.co_flags & inspect.CO_COROUTINE:
        runner.run(_awaited(code, module))
    else:
        exec(code, vars(module))


async def _awaited(code: CodeType, module: ModuleType) -> None:
    await eval(code, vars(module))
