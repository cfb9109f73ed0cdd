"""Writes docs/settings.md from the settings classes: `make docs`. A test fails when the page is not what this makes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from redurable import settings
from redurable.settings import Unit

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

INTRO = """\
# Settings

<!-- Made from redurable/settings.py by `make docs`: change that file, not this one. -->

Every setting is read from an environment variable, and can be given in code, which counts more:
`Worker(app, settings=WorkerSettings(concurrency=500))`. The defaults suit most programs; what limits a hub is the
server and the processor long before it is a setting. A value that cannot be right is refused when the worker is made.

Two more variables are no settings of a class: `REDURABLE_REDIS_URL` is the address of the store where none is given
(else the embedded server), and `REDURABLE_HUB` the hub of the commands that take `--hub`.
"""

_SPANS = ((86_400_000, "days"), (60_000, "min"), (1_000, "s"))
_SIZES = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))


def page() -> str:
    """The whole page."""
    return "\n".join([INTRO, *(_section(found) for found in classes())])


def classes() -> Iterator[type[BaseSettings]]:
    """The settings classes in the order in which they are written."""
    for found in vars(settings).values():
        if inspect.isclass(found) and issubclass(found, BaseSettings) and found is not BaseSettings:
            yield found


def own_fields(found: type[BaseSettings]) -> dict[str, FieldInfo]:
    """The fields that the class itself declares; what it inherits is shown with the base."""
    return {name: field for name, field in found.model_fields.items() if name in inspect.get_annotations(found)}


def unit_of(field: FieldInfo) -> Unit | None:
    """What the field's number counts."""
    return next((item for item in field.metadata if isinstance(item, Unit)), None)


def _section(found: type[BaseSettings]) -> str:
    bases = [f"`{base.__name__}`" for base in found.__bases__ if base is not BaseSettings]
    more = f" It has the settings of {' and '.join(bases)}, too." if bases else ""
    rows = [
        _row(name, field, f"{found.model_config.get('env_prefix', '')}{name}")
        for name, field in own_fields(found).items()
    ]
    lines = [
        f"## {found.__name__}",
        "",
        f"{' '.join(inspect.cleandoc(found.__doc__ or '').split())}{more}",
        "",
        "| setting | environment variable | unit | default | meaning |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]
    return "\n".join(lines)


def _row(name: str, field: FieldInfo, variable: str) -> str:
    unit = unit_of(field)
    text = f"`{field.default}`" if str(field.default) else "none"
    kind = unit.name if unit else "text"
    return f"| `{name}` | `{variable.upper()}` | {kind} | {text}{_easier(field.default, unit)} | {field.description} |"


def _easier(value: object, unit: Unit | None) -> str:
    """The same number as people say it."""
    if unit is None or not isinstance(value, int):
        return ""
    steps = {"milliseconds": _SPANS, "bytes": _SIZES}.get(unit.name, ())
    return next((f" ({value // step} {word})" for step, word in steps if value >= step and value % step == 0), "")


if __name__ == "__main__":
    PAGE.write_text(page())
