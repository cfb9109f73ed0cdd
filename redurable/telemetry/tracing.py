"""OpenTelemetry spans of clients and workers: `instrument(client, worker)`. See docs/tracing.md.

The spans of executions, timers and children are made when they are over, from facts, with ids that redurable has chosen
(`core.traces`); only the spans of clients and of attempts are open while user code runs. The sampling decision of a
trace is made where it begins, and travels in its context.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from types import TracebackType
from typing import Any

from redurable.client import Client
from redurable.core.traces import Attempted, read_trace, span_id
from redurable.core.values import Failure, Trace
from redurable.errors import CallerError, MissingExtra
from redurable.facts import Fact, Span, SpansEnded
from redurable.sync import Client as SyncClient
from redurable.worker import Worker

try:
    from opentelemetry import context, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
    from opentelemetry.trace.span import TraceState
except ModuleNotFoundError:
    raise MissingExtra("tracing needs opentelemetry-api, an optional package: pip install 'redurable[otel]'") from None

log = logging.getLogger("redurable.tracing")

_KINDS = {
    "orchestration": SpanKind.CONSUMER,
    "activity": SpanKind.CONSUMER,
    "sub_orchestration": SpanKind.PRODUCER,
    "create_orchestration": SpanKind.PRODUCER,
    "orchestration_event": SpanKind.PRODUCER,
}
_FAILED = frozenset({"Failed", "failed", "error", "non_retryable", "timeout", "crashed"})
"""Outcomes that make a span an error; that something was cancelled or terminated was somebody's wish."""

_chosen: ContextVar[tuple[int, int] | None] = ContextVar("redurable_span_ids", default=None)


def instrument(*parts: Client | SyncClient | Worker, provider: trace.TracerProvider | None = None) -> None:
    """Let these clients and workers make spans; call it before they are opened. `provider`: None is the global one,
    which may also be set later. Without the SDK of OpenTelemetry contexts are handed on, and no spans are made."""
    if not parts:
        raise CallerError("instrument() got nothing to trace: pass clients and workers")
    for part in parts:
        tracing = OpenTelemetry(part.hub, provider)
        part.tracing = tracing
        part.facts.subscribe(tracing)


class OpenTelemetry:
    """Fulfils `core.traces.Tracing`, and is a subscriber of facts."""

    def __init__(self, hub: str, provider: trace.TracerProvider | None = None) -> None:
        self._hub = hub
        self._provider = provider
        self._version = version("redurable")
        self._found: Any = None
        self._warned = False

    def __call__(self, fact: Fact) -> None:
        """Make the spans of what is over."""
        if isinstance(fact, SpansEnded):
            for span in fact.spans:
                with _harmless("a span cannot be made"):
                    self._make(span)

    def begin(self, name: str, execution: str) -> Trace | None:
        """The first span of a trace is that of the execution; the sampler is asked now."""
        with _harmless("a trace cannot begin"):
            return self._begin(name, execution)
        return None

    def _begin(self, name: str, execution: str) -> Trace | None:
        tracer = self._tracer()
        if tracer is not self._found:
            return None
        number = tracer.id_generator.generate_trace_id()
        asked = tracer.sampler.should_sample(
            Context(), number, f"orchestration:{name}", SpanKind.CONSUMER, self._attributes("orchestration", name, {})
        )
        flags = TraceFlags.SAMPLED if asked.decision.is_sampled() else TraceFlags.DEFAULT
        if tracer.id_generator.is_trace_id_random():
            flags |= _RANDOM
        state = asked.trace_state.to_header() if asked.trace_state else ""
        return Trace(f"00-{number:032x}-{span_id(execution)}-{flags:02x}", state)

    def starting(self, name: str, instance: str, execution: str) -> AbstractContextManager[Trace | None]:
        """As a producer, below the caller's current span."""
        fields: dict[str, str | int] = {"instance_id": instance, "execution": execution}
        return self._producing("create_orchestration", name, fields)

    def raising(self, name: str, instance: str) -> AbstractContextManager[Trace | None]:
        """The same for an event."""
        return self._producing("orchestration_event", name, {"target_instance_id": instance})

    def attempt(self, attempted: Attempted) -> AttemptSpan:
        """As a consumer, below the span of its orchestration."""
        above = _context_of(attempted.trace.traceparent, attempted.trace.tracestate)
        span: trace.Span = NonRecordingSpan(above or trace.INVALID_SPAN_CONTEXT)
        with _harmless("a span cannot be made"), _ids(above, attempted.span):
            span = self._tracer().start_span(
                f"activity:{attempted.name}",
                _below(above),
                SpanKind.CONSUMER,
                self._attributes("activity", attempted.name, attempted.fields),
                start_time=_ns(attempted.begun),
            )
        return AttemptSpan(span, attempted.begun)

    @contextmanager
    def _producing(self, kind: str, name: str, fields: dict[str, str | int]) -> Generator[Trace | None]:
        span: trace.Span = NonRecordingSpan(trace.get_current_span().get_span_context())
        with _harmless("a span cannot be made"):
            attributes = self._attributes(kind, name, fields)
            span = self._tracer().start_span(f"{kind}:{name}", kind=_KINDS[kind], attributes=attributes)
        made = span.get_span_context()
        try:
            with trace.use_span(span):
                yield _trace_of(made) if made.is_valid else None
        finally:
            with _harmless("a span cannot be ended"):
                span.end()

    def _make(self, told: Span) -> None:
        above = _context_of(told.traceparent, told.tracestate)
        if above is None:
            return
        is_first = bool(told.id) and above.span_id == int(told.id, 16)
        if is_first and not above.trace_flags.sampled:
            return  # Decided when it began.
        with _ids(above, told.id):
            span = self._tracer().start_span(
                f"{told.kind}:{told.name}" if told.name else told.kind,
                Context() if is_first else _below(above),
                _KINDS.get(told.kind, SpanKind.INTERNAL),
                self._attributes(told.kind, told.name, told.fields),
                _links(told.link),
                start_time=_ns(told.begun),
            )
        _conclude(span, told.outcome, told.failure, told.ended)
        span.end(_ns(told.ended))

    def _attributes(self, kind: str, name: str, fields: dict[str, str | int]) -> dict[str, str | int]:
        attributes = {f"redurable.{field}": value for field, value in fields.items()}
        return {"redurable.hub": self._hub, "redurable.type": kind, "redurable.name": name, **attributes}

    def _tracer(self) -> Any:
        """The SDK's tracer once there is one, with ids of our choice; before that, one that only hands contexts on."""
        if self._found is not None:
            return self._found
        tracer: Any = (self._provider or trace.get_tracer_provider()).get_tracer("redurable", self._version)
        if hasattr(tracer, "id_generator") and hasattr(tracer, "sampler"):
            if not isinstance(tracer.id_generator, _ChosenIds):
                tracer.id_generator = _ChosenIds(tracer.id_generator)
            self._found = tracer
        elif not self._warned and not isinstance(tracer, trace.NoOpTracer | trace.ProxyTracer):
            self._warned = True
            log.warning("%s is no tracer of the OpenTelemetry SDK: spans cannot be put together", type(tracer).__name__)
        return tracer


class AttemptSpan:
    """Fulfils `core.traces.OpenSpan`: the current span of the attempt's code, and of the threads that it runs in."""

    def __init__(self, span: trace.Span, begun: float) -> None:
        self._span = span
        self._begun = begun
        self._token: Any = None
        self._recorded = False

    def __enter__(self) -> None:
        self._token = context.attach(trace.set_span_in_context(self._span, Context()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        context.detach(self._token)
        if isinstance(error, Exception):
            with _harmless("an error cannot be recorded"):
                self._span.record_exception(error)
                self._recorded = True

    def end(self, outcome: str, failure: Failure | None, seconds: float) -> None:
        """It is over since `seconds` after it began."""
        ended = self._begun + seconds * 1000
        told = None if failure is None else (failure.type, failure.message, failure.stack)
        with _harmless("a span cannot be ended"):
            _conclude(self._span, outcome, told, ended, self._recorded)
            self._span.end(_ns(ended))


class _ChosenIds:
    """Stands where the SDK's generator of ids does: the ids that are chosen for the next span, else its own."""

    def __init__(self, usual: Any) -> None:
        self._usual = usual

    def generate_span_id(self) -> int:
        chosen = _chosen.get()
        return chosen[1] if chosen is not None and chosen[1] else self._usual.generate_span_id()

    def generate_trace_id(self) -> int:
        chosen = _chosen.get()
        return chosen[0] if chosen is not None else self._usual.generate_trace_id()

    def is_trace_id_random(self) -> bool:
        return bool(getattr(self._usual, "is_trace_id_random", bool)())


_RANDOM = 2
"""The flag of a traceparent whose trace id is random."""


@contextmanager
def _harmless(what: str) -> Generator[None]:
    """Samplers and processors are other people's code; no work fails for want of a span."""
    try:
        yield
    except Exception:
        log.exception("%s", what)


@contextmanager
def _ids(above: SpanContext | None, span: str) -> Generator[None]:
    token = _chosen.set(None if above is None else (above.trace_id, int(span, 16) if span else 0))
    try:
        yield
    finally:
        _chosen.reset(token)


def _conclude(
    span: trace.Span, outcome: str, failure: tuple[str, str, str] | None, ended: float, recorded: bool = False
) -> None:
    if not span.is_recording():
        return
    if outcome:
        span.set_attribute("redurable.outcome", outcome)
    if failure is not None:
        kind, message, stack = failure
        span.set_attribute("error.type", kind)
        if not recorded:
            told = {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack}
            span.add_event("exception", told, _ns(ended))
    if outcome in _FAILED:
        span.set_status(Status(StatusCode.ERROR, f"{failure[0]}: {failure[1]}" if failure else outcome))


def _context_of(traceparent: str, tracestate: str) -> SpanContext | None:
    """None for what is none: a history may have been written by anybody."""
    found = read_trace(traceparent, tracestate)
    if found is None:
        return None
    flags = TraceFlags(int(found.traceparent[53:55], 16))
    state = TraceState.from_header([found.tracestate]) if found.tracestate else TraceState()
    return SpanContext(
        int(found.trace_id, 16), int(found.span, 16), is_remote=True, trace_flags=flags, trace_state=state
    )


def _trace_of(made: SpanContext) -> Trace:
    flags = made.trace_flags & 0xFF
    return Trace(f"00-{made.trace_id:032x}-{made.span_id:016x}-{flags:02x}", made.trace_state.to_header())


def _below(above: SpanContext | None) -> Context:
    return Context() if above is None else trace.set_span_in_context(NonRecordingSpan(above), Context())


def _links(traceparent: str) -> list[Link]:
    linked = _context_of(traceparent, "")
    return [] if linked is None else [Link(linked)]


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1e6)
