"""What becomes of a request to redrive an instance: a value of the port."""

from __future__ import annotations

from enum import StrEnum


class Redriven(StrEnum):
    """What became of `redrive`. NOT_QUARANTINED: nothing keeps the instance from taking turns."""

    REDRIVEN = "redriven"
    NOT_QUARANTINED = "not quarantined"
    MISSING = "missing"
    FINISHED = "finished"
