"""`scripts/install` finds a Python that can make an environment, and says what is missing where there is none.

The interpreters here are shell scripts in a directory that is the whole PATH.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SHIM = "echo 'pyenv: python3.13: command not found' >&2; exit 127"
TOO_OLD = """case "$2" in
*assert*) echo 'AssertionError: it is Python 3.10' >&2; exit 1 ;;
*) echo 3.10 ;;
esac"""
WITHOUT_VENV = """case "$2" in
*assert*) echo "ModuleNotFoundError: No module named 'ensurepip'" >&2; exit 1 ;;
*) echo 3.12 ;;
esac"""
USABLE = """echo "$@" >> "$LOG"
if [ "$1 $2" = "-m venv" ]; then mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; fi"""


class Machine:
    """A PATH with these interpreters, and the tools that the script may count on."""

    def __init__(self, place: Path) -> None:
        self.bin = place / "bin"
        self.log = place / "log"
        self.environment = place / "env"
        self.bin.mkdir()
        for tool in ("cp", "mkdir", "sh", "tail"):
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)

    def add(self, name: str, script: str) -> None:
        """Put an interpreter on the PATH."""
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def install(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        environment = {"PATH": str(self.bin), "HOME": str(self.bin), "LOG": str(self.log), **variables}
        command = ["sh", str(ROOT / "scripts" / "install"), str(self.environment), "embedded"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_first_python_that_can_make_an_environment_is_taken(machine: Machine) -> None:
    machine.add("python3.13", SHIM)
    machine.add("python3.12", WITHOUT_VENV)
    machine.add("python3", USABLE)
    done = machine.install()
    assert done.returncode == 0, done.stderr
    calls = machine.log.read_text()
    assert f"-m venv --clear {machine.environment}\n" in calls
    assert calls.endswith("-m pip install --quiet --disable-pip-version-check --editable .[embedded]\n")


def test_without_a_usable_python_every_candidate_is_accounted_for(machine: Machine) -> None:
    machine.add("python3.13", SHIM)
    machine.add("python3", TOO_OLD)
    done = machine.install()
    assert done.returncode == 1
    assert "python3.13: found, but it does not start" in done.stderr
    assert "python3.12: not found" in done.stderr
    assert "python3: it is Python 3.10\n" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr


def test_a_missing_package_is_named(machine: Machine) -> None:
    machine.add("python3", WITHOUT_VENV)
    done = machine.install()
    assert done.returncode == 1
    assert "python3: ModuleNotFoundError: No module named 'ensurepip'\n" in done.stderr
    assert "apt-get install python3-venv (or python3.12-venv)" in done.stderr


def test_an_interpreter_that_was_asked_for_is_the_only_candidate(machine: Machine) -> None:
    machine.add("python3", USABLE)
    done = machine.install(EXPLICIT_PYTHON="python3.11")
    assert done.returncode == 1
    assert "  python3.11: not found\n" in done.stderr
    assert "python3.12" not in done.stderr
