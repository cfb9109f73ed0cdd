"""What travels between the parts of a campaign."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel


class Campaign(BaseModel):
    """Whom to write to: a segment of the customers, `wave` at a time, with a pause after each wave."""

    id: str
    segment: str
    wave: int = 100
    pause: timedelta = timedelta(hours=1)


class Delivery(BaseModel):
    """A mail that went out."""

    address: str
    variant: str


class Report(BaseModel):
    """What became of a campaign."""

    waves: int = 0
    sent: int = 0
    bounced: list[str] = []
    variants: dict[str, int] = {}
