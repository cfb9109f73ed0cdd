"""What documents point at exists: links, files, make targets, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from redurable.cli.commands import COMMANDS
from tests.docs.markdown import ROOT, blocks, documents, links, name, prose

FILE = re.compile(r"`((?:redurable|tests|docs|examples|benchmarks|scripts|\.ci)/[\w./*-]+)`")
TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)
SHOWN = re.compile(r"^\$ make ([a-z]+)", re.MULTILINE)
COMMAND = re.compile(r"(?:^\$ |`)redurable ([a-z][a-z-]*)", re.MULTILINE)


@pytest.mark.parametrize("document", documents(), ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    local = [target.split("#")[0] for target in links(document) if "://" not in target and not target.startswith("#")]
    assert [target for target in local if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", documents(), ids=name)
def test_files_that_are_named_exist(document: Path) -> None:
    assert [file for file in FILE.findall(prose(document)) if not list(ROOT.glob(file.rstrip("/")))] == []


@pytest.mark.parametrize("document", documents(), ids=name)
def test_make_targets_that_are_shown_exist(document: Path) -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text()))
    shown = {word for block in blocks(document) for word in SHOWN.findall(block.text)}
    shown |= set(re.findall(r"`make ([a-z]+)`", prose(document)))
    assert shown <= targets


@pytest.mark.parametrize("document", documents(), ids=name)
def test_commands_that_are_shown_exist(document: Path) -> None:
    commands = {name for texts in COMMANDS.values() for name in texts}
    assert set(COMMAND.findall(document.read_text())) <= commands


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "docs" / "adr"
    titles = {page.name: page.read_text().splitlines()[0].removeprefix("# ") for page in folder.glob("[0-9]*.md")}
    listed = (folder / "README.md").read_text().splitlines()
    assert [file for file, title in sorted(titles.items()) if f"- [{title}]({file})" not in listed] == []
