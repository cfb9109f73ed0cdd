"""A thorough run may take as long as it wants. anyio is in use, as it is in every worker."""

from __future__ import annotations

from pathlib import Path

import anyio
import hypothesis.core
import pytest
from hypothesis.vendor import pretty

from tests.properties.bounds import THOROUGH


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if THOROUGH and here in item.path.parents:
            item.add_marker(pytest.mark.timeout(0), append=False)


@pytest.fixture(scope="session", autouse=True)
def anyio_is_in_use() -> None:
    anyio.run(anyio.sleep, 0)


@pytest.fixture(scope="session", autouse=True)
def values_are_shown() -> None:
    """The pytest plugin of schemathesis hides the values of every example that fails, not only those of its own."""
    hypothesis.core.RepresentationPrinter = pretty.RepresentationPrinter  # pyright: ignore[reportPrivateImportUsage]
