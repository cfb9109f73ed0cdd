"""Milliseconds of a store as moments of a caller."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
_MOST = (_LAST - _EPOCH) // timedelta(milliseconds=1)


def moment(milliseconds: int) -> datetime:
    """A moment; beyond the end of the calendar, as a limit of a million years is, that end."""
    return _EPOCH + timedelta(milliseconds=milliseconds) if milliseconds <= _MOST else _LAST
