"""One operation on many instances, a page at a time."""

# No `from __future__ import annotations`: public dataclasses name `redurable` as their module, where a library that
# resolves annotations later would not find the types.

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import anyio

from redurable.core.values import RuntimeStatus
from redurable.errors import (
    CallerError,
    InstanceFinished,
    InstanceNotFailed,
    InstanceNotFinished,
    InstanceNotFound,
    InvalidFilter,
)

Operation = Literal["terminate", "cancel", "suspend", "resume", "rewind", "restart", "purge"]

PAGE: Final = 100
"""So many instances are read at a time."""
AT_ONCE: Final = 20
"""So many are operated on at a time."""

_OPEN: Final = (RuntimeStatus.PENDING, RuntimeStatus.RUNNING, RuntimeStatus.SUSPENDED)
_FINISHED: Final = tuple(status for status in RuntimeStatus if status.finished)
_FOR: Final[Mapping[str, tuple[RuntimeStatus, ...]]] = {
    "terminate": _OPEN,
    "cancel": _OPEN,
    "suspend": (RuntimeStatus.PENDING, RuntimeStatus.RUNNING),
    "resume": (RuntimeStatus.SUSPENDED,),
    "rewind": (RuntimeStatus.FAILED,),
    "restart": _FINISHED,
    "purge": _FINISHED,
}
_MEANWHILE: Final = (InstanceNotFound, InstanceFinished, InstanceNotFailed, InstanceNotFinished)
"""What an instance says that was as it had to be when it was found, and is not any more."""


@dataclass(frozen=True)
class BulkProgress:
    """How far a bulk operation is: of `matched` instances so far, it was `done` on some and `failed` on others; the
    rest changed meanwhile, and was left alone. This one is `instance_id`, and `error` says why it was not done; the
    last one of all has neither, and holds the totals. In a dry run nothing is done."""

    matched: int
    done: int
    failed: int
    instance_id: str = ""
    error: str = ""


def statuses_for(operation: str, asked: tuple[str, ...]) -> tuple[str, ...]:
    """The statuses of instances that an operation can be done on, of those that were asked for (nothing: all). Raises
    `InvalidFilter` when there are none, and for an unknown operation."""
    if operation not in get_args(Operation):
        raise InvalidFilter(f"operation is {operation!r}: there are {', '.join(get_args(Operation))}")
    fit = tuple(status.value for status in _FOR[operation])
    chosen = tuple(status for status in fit if not asked or status in asked)
    if not chosen:
        raise InvalidFilter(f"status is {', '.join(asked)}: {operation!r} is for instances that are {', '.join(fit)}")
    return chosen


class Tally:
    """Counts what has become of the instances."""

    def __init__(self, dry_run: bool) -> None:
        self.dry_run = dry_run
        self._matched = self._done = self._failed = 0

    def add(self, instance: str, error: CallerError | None) -> BulkProgress:
        """One more."""
        self._matched += 1
        if error is not None:
            self._failed += not isinstance(error, _MEANWHILE)
        elif not self.dry_run:
            self._done += 1
        return BulkProgress(self._matched, self._done, self._failed, instance, "" if error is None else str(error))

    def total(self) -> BulkProgress:
        """All of them."""
        return BulkProgress(self._matched, self._done, self._failed)


async def together(
    instances: list[str], act: Callable[[str], Awaitable[object]]
) -> list[tuple[str, CallerError | None]]:
    """Act on all of these at the same time; what each made of it, in their order. Errors of the store are raised."""
    ends: dict[str, CallerError | None] = {}

    async def one(instance: str) -> None:
        try:
            await act(instance)
        except CallerError as error:
            ends[instance] = error
        else:
            ends[instance] = None

    async with anyio.create_task_group() as group:
        for instance in instances:
            group.start_soon(one, instance)
    return [(instance, ends[instance]) for instance in instances]
