"""A change of what the chart renders is seen in the files of golden/, and so in a review."""

from __future__ import annotations

import pytest

from tests.deploy.renders import GOLDEN, golden
from tests.support.helm import CASES


@pytest.mark.parametrize("case", CASES)
def test_it_renders_what_was_agreed_on(case: str) -> None:
    assert golden(case) == (GOLDEN / f"{case}.yaml").read_text(), "run `make golden`, and read the difference"


def test_nothing_is_left_of_cases_that_are_gone() -> None:
    assert {path.stem for path in GOLDEN.glob("*")} == set(CASES)
