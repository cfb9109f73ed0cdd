"""helm 3 and helm 4 take the chart, and Kubernetes' own schemas take what it renders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.helm import CASES, CHART, VERSIONS, helm, render, without_secrets

OLDEST, NEWEST = (1, 28), (1, 37)
CUSTOM = {"ScaledObject", "TriggerAuthentication", "PodMonitor", "ServiceMonitor", "PrometheusRule"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_lint_finds_nothing(version: str, case: str) -> None:
    said = helm(version, "lint", "--strict", str(CHART), "--values", str(CHART / "ci" / f"{case}-values.yaml"))
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


@pytest.mark.parametrize("case", CASES)
def test_both_versions_render_the_same(case: str) -> None:
    three, four = (without_secrets(render(case, version)) for version in VERSIONS)
    assert sorted(map(yaml.safe_dump, three)) == sorted(map(yaml.safe_dump, four))


@pytest.mark.parametrize("minor", range(OLDEST[1], NEWEST[1] + 1))
def test_kubernetes_takes_every_object(minor: int, tmp_path: Path) -> None:
    """Strictly: a field that the version does not know is an error."""
    objects = [m for case in CASES for m in render(case) if m["kind"] not in CUSTOM]
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all(objects))
    command = [str(Path(sys.executable).with_name("kubernetes-validate")), "--strict", "-k", f"1.{minor}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARN" not in done.stdout + done.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_packaged_without_what_is_for_tests(version: str, tmp_path: Path) -> None:
    helm(version, "package", str(CHART), "--destination", str(tmp_path))
    (archive,) = tmp_path.glob("redurable-*.tgz")
    assert helm(version, "show", "values", str(archive)) == f"{(CHART / 'values.yaml').read_text()}\n"
    listed = subprocess.run(["tar", "tzf", str(archive)], capture_output=True, text=True, check=True).stdout
    assert "redurable/values.schema.json" in listed
    assert "/ci/" not in listed
    assert render("minimal", version, chart=archive)
