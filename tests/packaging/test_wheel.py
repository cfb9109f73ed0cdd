"""The wheel works without the checkout: built, installed into an environment of its own, and run from elsewhere.

The environment has no network. It sees the dependencies of the current environment through a path entry; the editable
installation of the checkout, which is a `.pth` file, is not seen that way.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from msgspec import Struct

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.xdist_group("packaging"), pytest.mark.timeout(180)]

PROGRAM = """
import asyncio
import sys
from pathlib import Path

import redurable
from redurable import App, Client, OrchestrationContext, Worker

app = App("packaging")


@app.activity
def double(number: int) -> int:
    return 2 * number


@app.orchestrator
async def doubled(ctx: OrchestrationContext, numbers: list[int]) -> list[int]:
    return list(await asyncio.gather(*(ctx.call_activity(double, number) for number in numbers)))


async def main() -> None:
    address = f"embedded:{Path.cwd() / 'data'}"
    async with Worker(app, address) as worker, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(worker.run())
        async with Client(address, hub="packaging") as client:
            handle = await client.start(doubled, [1, 2, 3], instance_id="one")
            print(await handle.result(timeout=30))
        worker.stop()
        await running


asyncio.run(main())
print(Path(redurable.__file__).is_relative_to(sys.prefix))
"""


class Distribution(Struct, frozen=True):
    """What a build made."""

    wheel: Path
    sdist: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """The source distribution, and the wheel that was built from it: so the first is complete."""
    out = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT))
    (wheel,) = out.glob("*.whl")
    (sdist,) = out.glob("*.tar.gz")
    return Distribution(wheel, sdist)


@pytest.fixture(scope="session")
def installed(built: Distribution, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment in which the wheel is installed."""
    place = tmp_path_factory.mktemp("installed") / "env"
    venv.create(place, with_pip=False)
    paths = sysconfig.get_paths(vars={"base": str(place), "platbase": str(place)})
    dependencies = sysconfig.get_paths()["purelib"]
    Path(paths["purelib"], "dependencies.pth").write_text(dependencies + "\n")
    pip = (sys.executable, "-m", "pip", "--python", str(place), "install", "--quiet", "--no-deps", "--no-index")
    _run(*pip, str(built.wheel))
    return place / "bin"


def test_every_file_of_the_package_is_in_the_wheel(built: Distribution) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        packed = {name for name in wheel.namelist() if name.startswith("redurable/")}
    assert packed == _package_files()
    assert "redurable/py.typed" in packed
    assert {PurePosixPath(name).suffix for name in packed} >= {".py", ".lua"}


def test_the_source_distribution_holds_tests_and_documents(built: Distribution) -> None:
    with tarfile.open(built.sdist) as sdist:
        packed = {name.partition("/")[2] for name in sdist.getnames()}
    assert packed >= _package_files() | {"LICENSE", "README.md", "Makefile", "pyproject.toml", "docs/concepts.md"}
    assert [name for name in packed if name.startswith((".venv", ".redurable"))] == []


def test_the_installed_wheel_runs_an_orchestration(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    assert _run(str(installed / "python"), "-I", "program.py", cwd=tmp_path).splitlines() == ["[2, 4, 6]", "True"]


def test_the_installed_command_line_answers(installed: Path, tmp_path: Path) -> None:
    assert "worker" in _run(str(installed / "redurable"), "--help", cwd=tmp_path)


def _package_files() -> set[str]:
    paths = (path for path in (ROOT / "redurable").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in paths}


def _run(*command: str, cwd: Path | None = None) -> str:
    """Run a command with nothing of this environment but where programs and temporary files are."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout
