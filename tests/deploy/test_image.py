"""The Dockerfile, as far as that goes without a Docker engine: it is linted, and its steps are done in an environment
of its own, from nothing but the files that it copies. Only the base image is another one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from redurable.settings import WorkerSettings
from tests.deploy.dockerfile import DOCKERFILE, only, stages, variables, words
from tests.docs.markdown import ROOT
from tests.support.processes import until
from tests.support.servers import Server
from tests.support.shop_line import SOURCE
from tests.support.shops import free_port

pytestmark = [pytest.mark.xdist_group("image"), pytest.mark.timeout(180)]

BUILD, FINAL = stages()
HOME = "/opt/redurable"
_START = ("redurable", "start", "hello", "--input", '"Ada"', "--wait")
PAGE = DOCKERFILE.with_name("README.md")


class Image:
    """The environment that takes the place of /opt/redurable, and a directory that takes that of /app."""

    def __init__(self, place: Path, app: Path) -> None:
        self.place, self.app = place, app
        app.mkdir(exist_ok=True)
        inside = {"PATH": os.environ["PATH"], **{k: os.environ[k] for k in ("TMPDIR",) if k in os.environ}}
        for name, value in variables(FINAL).items():
            moved = value.replace(HOME, str(place)).replace("/app", str(app))
            inside[name] = re.sub(r"\$(\w+)", lambda match: inside[match[1]], moved)
        self.environment = inside

    def begin(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Run a command as in the container: in the working directory, with the variables of the file."""
        program = shutil.which(command[0], path=self.environment["PATH"])
        assert program is not None
        return subprocess.Popen(
            [program, *command[1:]],
            cwd=self.app,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str, **environment: str) -> tuple[int, str]:
        """The same, to its end: (exit code, what it said)."""
        with self.begin(*command, **environment) as process:
            said, _ = process.communicate(timeout=60)
        return process.returncode, said

    @contextmanager
    def worker(self, *arguments: str, **environment: str) -> Generator[subprocess.Popen[str]]:
        """What the entry point runs, once it is ready."""
        with self.begin(*words(only(FINAL, "ENTRYPOINT")), *arguments, **environment) as process:
            try:
                assert process.stdout is not None
                lines: list[str] = []
                while not any("is ready" in line for line in lines):
                    lines.append(process.stdout.readline())
                    assert lines[-1], "".join(lines)
                yield process
            finally:
                process.kill()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which the build stage's files, and nothing else of the checkout, are installed."""
    source, out = tmp_path_factory.mktemp("src"), tmp_path_factory.mktemp("wheel")
    for _, arguments in (pair for pair in BUILD if pair[0] == "COPY"):
        *copied, target = arguments.split()
        for name in copied:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, source / target)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source))
    made = tmp_path_factory.mktemp("opt") / "redurable"
    venv.create(made, with_pip=False)
    purelib = Path(sysconfig.get_paths(vars={"base": str(made), "platbase": str(made)})["purelib"])
    (purelib / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    _install(made, next(out.glob("*.whl")))
    return made


@pytest.fixture
def image(place: Path, tmp_path: Path) -> Image:
    return Image(place, tmp_path / "app")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server("valkey9")
    yield running
    running.stop()


def test_the_linter_finds_nothing() -> None:
    if not (sys.platform == "linux" and os.uname().machine == "x86_64"):
        pytest.skip("hadolint comes from PyPI for Linux on x86-64 only")
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_is_not_root_and_hears_signals() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", only(FINAL, "USER"))
    assert words(only(FINAL, "ENTRYPOINT")) == ["redurable"]
    assert only(FINAL, "STOPSIGNAL") == "SIGTERM"
    assert only(FINAL, "WORKDIR") == variables(FINAL)["PYTHONPATH"] == "/app"
    assert only(FINAL, "EXPOSE").split()[0] == str(WorkerSettings.model_fields["metrics_port"].default)


def test_what_it_installs_is_what_the_project_offers() -> None:
    found = re.search(r'pip install .*?"\.\[([\w,]+)\]"', " ".join(a for n, a in BUILD if n == "RUN"))
    assert found is not None
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(found[1].split(",")) == set(offered) - {"test", "all", "embedded"}


def test_the_context_lets_in_what_is_copied_and_nothing_else() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for n, a in BUILD if n == "COPY" for name in a.split()[:-1]}
    assert let_in == copied


def test_it_says_its_version(image: Image) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    code, said = image.run(*words(only(FINAL, "ENTRYPOINT")), "--version")
    assert code == 0
    assert version in said
    code, said = image.run(*words(only(FINAL, "ENTRYPOINT")), *words(only(FINAL, "CMD")))
    assert code == 0
    assert "worker" in said


async def test_a_program_in_app_is_run_checked_and_ended(image: Image, server: Server) -> None:
    (image.app / "orders.py").write_text(SOURCE)
    image.app.chmod(0o555)
    before = sorted(image.app.rglob("*"))
    port = free_port()
    health = {"REDURABLE_HEALTH_URL": f"http://127.0.0.1:{port}/livez"}
    check = words(only(FINAL, "HEALTHCHECK").partition(" CMD ")[2])
    assert image.run(*check, **health)[0] != 0
    address = {"REDURABLE_REDIS_URL": server.url, "REDURABLE_HUB": "image"}
    with image.worker("worker", "orders:app", f"--metrics-port={port}", **address) as worker:
        assert image.run(*_START, **address) == (0, '"Hello Ada."\n')
        await until(lambda: image.run(*check, **health)[0] == 0, "the health check says yes")
        worker.send_signal(signal.Signals[only(FINAL, "STOPSIGNAL")])
        assert worker.wait(25) == 0
    assert sorted(image.app.rglob("*")) == before


def test_a_program_that_is_a_package_is_installed_beside_redurable(
    image: Image, server: Server, tmp_path: Path
) -> None:
    """As the page's second Dockerfile does it, without the network."""
    wheel = tmp_path / "parcels-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("parcels.py", SOURCE)
        archive.writestr("parcels-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: parcels\nVersion: 1\n")
        archive.writestr("parcels-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("parcels-1.dist-info/RECORD", "")
    _install(image.place, wheel)
    address = {"REDURABLE_REDIS_URL": server.url, "REDURABLE_HUB": "parcels"}
    with image.worker("worker", "parcels:app", "--metrics-port=0", **address) as worker:
        worker.terminate()
        assert worker.wait(25) == 0


def test_the_pages_dockerfiles_are_like_this_one() -> None:
    text = PAGE.read_text()
    (first, second) = re.findall(r"```dockerfile\n(.*?)```", text, re.DOTALL)
    assert first.splitlines() == ["FROM redurable:0.1.0", "COPY orders.py /app/"]
    assert second.splitlines()[-1] == f"USER {only(FINAL, 'USER')}"
    assert "--target" not in second


def _install(place: Path, wheel: Path) -> None:
    _run(
        *(sys.executable, "-m", "pip", "--python", str(place), "install"),
        *("--quiet", "--no-deps", "--no-index", str(wheel)),
    )


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
