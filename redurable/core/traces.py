"""Trace contexts as they travel: which span belongs below which, and what other programs may say.

The span of an execution, of one of its calls and of an attempt has an id that follows from what it is of. So whoever
takes a turn knows the span that its tasks belong below, no span has to stay open between two turns, and a turn that is
taken again, by whatever worker, means the same spans.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from hashlib import blake2b
from typing import Protocol

import msgspec
from msgspec import Struct

from redurable.core.values import Failure, Trace

MOST_STATE = 512
"""A longer tracestate is left out, as the W3C recommendation allows."""

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_TRACESTATE = re.compile(r"[\x20-\x7e]*")


class Attempted(Struct, frozen=True):
    """An attempt that begins at `begun` (the store's milliseconds), and the id of its span, which belongs below `trace`
    and says `fields`."""

    trace: Trace
    span: str
    begun: float
    name: str
    fields: dict[str, str | int]


class OpenSpan(AbstractContextManager[None], Protocol):
    """The span of an attempt: the current one inside its `with` block. It is over, and told of, by `end` alone."""

    def end(self, outcome: str, failure: Failure | None, seconds: float) -> None:
        """The attempt took so long, and this became of it; `outcome` as in the fact `ActivityAttempted`."""
        ...


class Tracing(Protocol):
    """What clients and workers ask for where traces begin and go on. What is over is told by facts."""

    def begin(self, name: str, execution: str) -> Trace | None:
        """The trace of an execution whose start carried none."""
        ...

    def starting(self, name: str, instance: str, execution: str) -> AbstractContextManager[Trace | None]:
        """The span of a client that starts an execution; what the start is to carry."""
        ...

    def raising(self, name: str, instance: str) -> AbstractContextManager[Trace | None]:
        """The same for an external event."""
        ...

    def attempt(self, attempted: Attempted) -> OpenSpan:
        """The span of an attempt that begins."""
        ...


def span_id(*parts: object) -> str:
    """The id of the span of what these parts name."""
    return blake2b(":".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def below(trace: Trace, span: str) -> Trace:
    """The context of what belongs below this span of the trace."""
    return Trace(f"{trace.traceparent[:36]}{span}{trace.traceparent[52:]}", trace.tracestate)


def continued(trace: Trace | None, execution: str) -> Trace | None:
    """What the next execution carries: it belongs below the same span, and continues that of `execution`."""
    return None if trace is None else msgspec.structs.replace(trace, link=span_id(execution))


def read_trace(traceparent: str, tracestate: str = "") -> Trace | None:
    """What another program says; None when it says nothing valid: then, as the W3C demands, it has said nothing."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or (found[4] and traceparent.startswith("00")):
        return None
    state = tracestate if len(tracestate) <= MOST_STATE and _TRACESTATE.fullmatch(tracestate) else ""
    return Trace(f"00-{found[1]}-{found[2]}-{found[3]}", state)
