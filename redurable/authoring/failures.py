"""Errors of user code in a form that can be stored and read in other processes and languages."""

from __future__ import annotations

import math
import traceback
from datetime import timedelta
from types import TracebackType
from typing import cast

from msgspec.structs import replace

from redurable.core.retry import LONGEST_MS
from redurable.core.values import Failure
from redurable.errors import CallFailed, OrchestrationEnded

_MAX_CAUSES = 8
_MAX_FRAMES = 12
_MAX_MESSAGE = 4_000

_MACHINERY = ("redurable.authoring.", "redurable.core.", "redurable.worker.", "asyncio.", "anyio.", "concurrent.")
"""Modules whose frames say nothing about the user's error."""


def failure_of(error: BaseException) -> Failure:
    """The type name of an error, its message, where it was raised, and its causes (at most 8: the first ones and the
    root, because every level of sub-orchestrations adds one).

    The stack names files, lines and functions of user code, the innermost last. It never reads source files, so it
    may be called inside a turn.
    """
    return _failure(error, _MAX_CAUSES)


def retry_after_of(error: BaseException) -> int | None:
    """Milliseconds that an error wants the next attempt to wait, if it says so: by an attribute `retry_after`, which is
    a timedelta or a number of seconds, of the error itself. Anything else of that name is none of our business."""
    try:
        asked = getattr(error, "retry_after", None)
    except Exception:  # somebody's property
        return None
    if isinstance(asked, timedelta):
        asked = asked.total_seconds()
    if isinstance(asked, bool) or not isinstance(asked, int | float) or not 0 <= asked < math.inf:
        return None
    return min(math.ceil(asked * 1000), LONGEST_MS)


def _failure(error: BaseException, depth: int) -> Failure:
    return Failure(
        type=type(error).__name__,
        message=_message(error),
        stack=_stack(error.__traceback__),
        cause=_cause(error, depth - 1),
    )


def _cause(error: BaseException, depth: int) -> Failure | None:
    if isinstance(error, CallFailed | OrchestrationEnded):
        return _bounded(error.failure, depth)
    cause = error.__cause__
    if cause is None and isinstance(error, BaseExceptionGroup):
        cause = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    elif cause is None and not error.__suppress_context__:
        cause = error.__context__
    return _failure(cause, depth) if cause is not None and depth > 0 else None


def _bounded(failure: Failure, depth: int) -> Failure:
    """A failure with at most so many links, the last of them the root."""
    chain = [failure]
    while (cause := chain[-1].cause) is not None:
        chain.append(cause)
    if len(chain) <= depth:
        return failure
    kept = [*chain[: max(depth - 1, 0)], chain[-1]]
    for index in reversed(range(len(kept) - 1)):
        kept[index] = replace(kept[index], cause=kept[index + 1])
    return kept[0]


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as problem:
        text = f"<its message could not be read: {type(problem).__name__}>"
    if len(text) > _MAX_MESSAGE:
        text = f"{text[:_MAX_MESSAGE]}… ({len(text) - _MAX_MESSAGE} more characters)"
    return _storable(text)


def _stack(trace: TracebackType | None) -> str:
    frames = [
        f"{frame.f_code.co_filename}:{line}, in {frame.f_code.co_qualname}"
        for frame, line in traceback.walk_tb(trace)
        if not f"{frame.f_globals.get('__name__', '')}.".startswith(_MACHINERY)
    ]
    return _storable("\n".join(frames[-_MAX_FRAMES:]))


def _storable(text: str) -> str:
    # Lone surrogates, such as those of undecodable file names, have no JSON.
    return text.encode(errors="backslashreplace").decode()
