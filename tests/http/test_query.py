"""Query parameters as Azure reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from redurable.core.values import RuntimeStatus
from redurable.http.query import Query, read_moment

NOON = datetime(2018, 3, 10, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("2018-03-10T12:00:00Z", "2018-03-10T12:00:00", "2018-03-10T12:00:00.0000000Z", "2018-03-10 12:00:00"),
        *("2018-03-10T13:00:00+01:00", "2018-03-10T13:00:00 01:00", "3/10/2018 12:00:00 PM", "03/10/2018 12:00:00"),
        *(" 2018-03-10T12:00:00.000000Z ", "3/10/2018 12:00", "20180310T120000Z"),
    ],
)
def test_times(text: str) -> None:
    assert read_moment(text) == NOON


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "13/13/2018", "2018-13-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "\x00"],
)
def test_what_is_no_time(text: str) -> None:
    assert read_moment(text) is None


def test_names_in_any_case_and_values_that_are_repeated() -> None:
    query = Query([("RuntimeStatus", "Failed,completed"), ("runtimestatus", "Bogus"), ("TOP", "7"), ("flag", "TRUE")])
    assert query.statuses("runtimeStatus") == ([RuntimeStatus.FAILED, RuntimeStatus.COMPLETED], ["Bogus"])
    assert (query.integer("top"), query.flag("Flag", False), query.flag("none", True)) == (7, True, True)
    assert (query.has("top"), query.has("none"), query.text("none")) == (True, False, "")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5", 1.5), ("0", 0.0), ("inf", None), ("nan", None), ("x", None), ("", None), ("1e999", None)],
)
def test_seconds(text: str, seconds: float | None) -> None:
    assert Query([("timeout", text)]).seconds("timeout") == seconds


@pytest.mark.parametrize(("text", "number"), [("12", 12), ("-1", -1), ("1.5", None), ("9" * 5000, None), ("x", None)])
def test_whole_numbers(text: str, number: int | None) -> None:
    assert Query([("top", text)]).integer("top") == number


def test_flags_that_are_none_count_as_not_given() -> None:
    assert Query([("showInput", "yes")]).flag("showInput", True) is True
