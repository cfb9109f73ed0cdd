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


class _Strict(yaml.SafeLoader):
    """YAML says that a key stands once; helm takes the last one, kustomize (and Flux with it) takes none."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"a key stands twice: {keys}"
        return super().construct_mapping(node, deep)


def render(
    case: str = "",
    version: str = "helm4",
    sets: Sequence[str] = (),
    chart: Path = CHART,
    release: str = "shop",
    namespace: str = "shops",
    how: str = "--set",
) -> list[Manifest]:
    """The objects of a release, with the values of a file of ci/ and more of `sets`, given by the flag `how`."""
    return deepcopy(_rendered(case, version, tuple(sets), chart, release, namespace, how))


@cache
def _rendered(
    case: str, version: str, sets: tuple[str, ...], chart: Path, release: str, namespace: str, how: str
) -> list[Manifest]:
    """Once a session: the chart does not change under the tests, and most look at the same cases."""
    values = ["--values", str(CHART / "ci" / f"{case}-values.yaml")] if case else []
    more = [word for value in sets for word in (how, value)]
    text = helm(version, "template", release, str(chart), "--namespace", namespace, *values, *more)
    return [document for document in yaml.load_all(text, _Strict) if document]


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
