"""What the chart renders for each file of ci/, as it was agreed on: `make golden` writes it anew, a review reads it.

Left out are the random API keys, and the dashboards and rules, which are copies that another test compares.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.support.helm import CASES, Manifest, render, without_secrets

GOLDEN = Path(__file__).with_name("golden")


class _Block(yaml.SafeDumper):
    """Text of several lines stays text of several lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)  # pyright: ignore[reportUnknownMemberType]


_Block.add_representer(str, _text)


def golden(case: str) -> str:
    """The page of one case."""
    objects = [_shortened(manifest) for manifest in without_secrets(render(case))]
    ordered = sorted(objects, key=lambda m: (str(m["kind"]), str(m["metadata"]["name"])))
    return yaml.dump_all(ordered, Dumper=_Block, sort_keys=False, width=1000, explicit_start=True)


def _shortened(manifest: Manifest) -> dict[str, Any]:
    name = manifest["metadata"]["name"]
    if manifest["kind"] == "PrometheusRule":
        return {**manifest, "spec": [group["name"] for group in manifest["spec"]["groups"]]}
    if manifest["kind"] == "ConfigMap" and "-dashboard-" in name:
        return {**manifest, "data": sorted(manifest["data"])}
    return manifest


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for path in GOLDEN.glob("*.yaml"):
        path.unlink()
    for case in CASES:
        (GOLDEN / f"{case}.yaml").write_text(golden(case))
