"""The chart as helm renders it: real binaries, no cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import find_tool

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "redurable"
CASES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
VERSIONS = ("helm3", "helm4")

Manifest = dict[str, Any]


class HelmFailed(Exception):
    """helm said no; the text is what it printed."""


def helm(version: str, *words: str) -> str:
    """What helm prints; raises `HelmFailed`."""
    program = find_tool(version, package="fetched by make test")
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise HelmFailed(done.stdout + done.stderr)
    return done.stdout


def render(case: str = "", version: str = "helm4", sets: Sequence[str] = (), chart: Path = CHART) -> list[Manifest]:
    """The objects of a release `shop` in the namespace `shops`, with the values of a file of ci/ and more of `sets`."""
    return deepcopy(_rendered(case, version, tuple(sets), chart))


@cache
def _rendered(case: str, version: str, sets: tuple[str, ...], chart: Path) -> list[Manifest]:
    """Once a session: the chart does not change under the tests, and most look at the same cases."""
    values = ["--values", str(CHART / "ci" / f"{case}-values.yaml")] if case else []
    more = [word for value in sets for word in ("--set", value)]
    text = helm(version, "template", "shop", str(chart), "--namespace", "shops", *values, *more)
    return [document for document in yaml.safe_load_all(text) if document]


def pod_of(manifest: Manifest) -> Manifest | None:
    """The pod's specification of anything that makes pods."""
    match manifest["kind"]:
        case "Pod":
            return manifest["spec"]
        case "Deployment" | "StatefulSet" | "Job":
            return manifest["spec"]["template"]["spec"]
        case _:
            return None


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """(kind/name, specification) of all pods."""
    for manifest in manifests:
        spec = pod_of(manifest)
        if spec is not None:
            yield f"{manifest['kind']}/{manifest['metadata']['name']}", spec


def find(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """The one object of that kind and name."""
    (found,) = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name)]
    return found


def without_secrets(manifests: list[Manifest]) -> list[Manifest]:
    """The same with the names of secrets' entries alone: API keys are random."""
    return [{**m, "data": sorted(m["data"])} if m["kind"] == "Secret" else m for m in manifests]
