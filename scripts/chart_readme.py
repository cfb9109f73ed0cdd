"""Writes deploy/helm/redurable/README.md from the chart's values.yaml: `make docs`. A test keeps it current.

Every value has a comment `# -- …` above it, its description. A comment on a map describes all of it; keys of it that
have comments of their own get rows, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml

CHART = Path(__file__).parents[1] / "deploy" / "helm" / "redurable"
PAGE = CHART / "README.md"
_KEY = re.compile(r"( *)([A-Za-z]\w*):(.*)")
_LONGEST_DEFAULT = 60

INTRO = """\
# The chart of redurable

<!-- Made from values.yaml by `make docs`: change that file, not this one. -->

Worker pools, the HTTP API, autoscaling and monitoring of one hub. [The guide](../../../docs/kubernetes.md) says how to
use it; this page lists its values. `values.schema.json` refuses what is not here.

```console
$ helm install orders deploy/helm/redurable \\
    --set redis.url=redis://redis:6379 --set workers.orders.app=orders:app --set image.repository=registry.example/shop
$ helm test orders
```

A pool, `workers.NAME`, has the values of `workerDefaults`, each in place of the default, and `app`.
"""


class Value(NamedTuple):
    """A row: the key with its path, the default as YAML gives it, the description."""

    key: str
    default: Any
    text: str


def page() -> str:
    """The whole page."""
    rows = [f"| `{value.key}` | {_shown(value.default)} | {_cell(value.text)} |" for value in described()]
    return "\n".join([INTRO, "| value | default | meaning |", "|---|---|---|", *rows, ""])


def described() -> Iterator[Value]:
    """The values that have a description, in the order of the file."""
    text = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    path: list[tuple[int, str]] = []
    comment = ""
    for line in text.splitlines():
        if line.strip().startswith("# -- "):
            comment = line.strip().removeprefix("# -- ")
            continue
        found = _KEY.fullmatch(line)
        if found is None:
            continue
        indent = len(found[1])
        path = [*((depth, key) for depth, key in path if depth < indent), (indent, found[2])]
        if comment:
            key = ".".join(name for _, name in path)
            yield Value(key, _look_up(values, key), comment)
            comment = ""


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The paths of all values that are no maps, or empty ones."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(cast("dict[str, Any]", value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _look_up(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def _shown(default: Any) -> str:
    text = json.dumps(default)
    return f"`{text}`" if len(text) <= _LONGEST_DEFAULT else "see values.yaml"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
