"""Which calls an execution failed of: their errors carry the number of the call, and are found again in the error that
ends the execution, however user code wrapped them.
"""

from __future__ import annotations

from typing import TypeVar, cast

E = TypeVar("E", bound=BaseException)

_NUMBER = "_redurable_number"
_MOST = 1_000
"""So many links are followed: a chain of errors may be a circle."""


def numbered(error: E, seq: int) -> E:
    """The error of the call of this number."""
    setattr(error, _NUMBER, seq)
    return error


def numbers_of(error: BaseException) -> tuple[int, ...]:
    """The numbers of the calls whose errors led to this one, ascending."""
    found: set[int] = set()
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left and len(seen) < _MOST:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        number = getattr(one, _NUMBER, None)
        if isinstance(number, int):
            found.add(number)
        left += (one.__cause__, one.__context__)
        if isinstance(one, BaseExceptionGroup):
            left += cast("BaseExceptionGroup[BaseException]", one).exceptions
    return tuple(sorted(found))
