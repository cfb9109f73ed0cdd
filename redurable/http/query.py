"""Query parameters as Azure reads them: names in any case; what cannot be read counts as not given."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from redurable.core.values import RuntimeStatus

_STATUSES = {status.value.lower(): status for status in RuntimeStatus}
_FORMATS = ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y")
_LOST_PLUS = re.compile(r" (?=\d\d:?\d\d$)")
_INTEGER = re.compile(r"[+-]?\d{1,9}")


class Query:
    """The parameters of one request."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower(), []).append(value)

    def has(self, name: str) -> bool:
        """Whether there is anything under that name."""
        return bool(self.text(name))

    def text(self, name: str) -> str:
        """The value; those of a parameter that is repeated with commas between them; empty: there is none."""
        return ",".join(self.texts(name))

    def texts(self, name: str) -> list[str]:
        """The values, as often as the parameter is repeated, as they are: names may have commas."""
        return [value for value in self._values.get(name.lower(), ()) if value]

    def flag(self, name: str, default: bool) -> bool:
        """True or false, in any case."""
        return {"true": True, "false": False}.get(self.text(name).strip().lower(), default)

    def integer(self, name: str) -> int | None:
        """A whole number."""
        text = self.text(name).strip()
        return int(text) if _INTEGER.fullmatch(text) else None

    def seconds(self, name: str) -> float | None:
        """A number of seconds, finite."""
        try:
            number = float(self.text(name))
        except ValueError:
            return None
        return number if math.isfinite(number) else None

    def moment(self, name: str) -> datetime | None:
        """A time, aware; without an offset it is UTC."""
        return read_moment(self.text(name))

    def statuses(self, name: str) -> tuple[list[RuntimeStatus], list[str]]:
        """The statuses that are named, and the words that name none."""
        words = [word.strip() for word in self.text(name).split(",") if word.strip()]
        known = [_STATUSES[word.lower()] for word in words if word.lower() in _STATUSES]
        return known, [word for word in words if word.lower() not in _STATUSES]


def read_moment(text: str) -> datetime | None:
    """ISO 8601, or the form in which .NET writes dates; None for anything else.

    A `+` that was not escaped arrives as a blank; where only an offset can have been meant, it is one again.
    """
    text = _LOST_PLUS.sub("+", text.strip()) if "T" in text else text.strip()
    try:
        return _aware(datetime.fromisoformat(text))
    except ValueError:
        pass
    for form in _FORMATS:
        try:
            return _aware(datetime.strptime(text, form))
        except ValueError:
            continue
    return None


def _aware(moment: datetime) -> datetime:
    """In UTC. Raises `ValueError` at the ends of the calendar."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None
