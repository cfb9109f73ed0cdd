"""Spans that a test gathers in memory, and those that a worker process prints."""

from __future__ import annotations

import json
import re
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler


class Seen:
    """A span as tests look at it; ids are texts of hexadecimal digits, `parent` is empty for the first of a trace."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.name: str = told["name"]
        self.kind: str = told["kind"].removeprefix("SpanKind.")
        self.trace: str = told["context"]["trace_id"].removeprefix("0x")
        self.id: str = told["context"]["span_id"].removeprefix("0x")
        self.parent: str = (told["parent_id"] or "").removeprefix("0x")
        self.links: list[str] = [link["context"]["span_id"].removeprefix("0x") for link in told["links"]]
        self.fields: dict[str, Any] = told["attributes"]
        self.failed: bool = told["status"]["status_code"] == "ERROR"
        self.said: list[dict[str, Any]] = told["events"]
        self.begun: str = told["start_time"]
        self.ended: str = told["end_time"]

    @property
    def outcome(self) -> str:
        return self.fields.get("redurable.outcome", "")


class Exported:
    """A provider whose spans are kept."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("tests")

    @property
    def spans(self) -> list[Seen]:
        """Those that have ended, in the order of their beginnings."""
        ended: tuple[ReadableSpan, ...] = self._exporter.get_finished_spans()
        spans = [Seen(json.loads(span.to_json())) for span in ended]
        return sorted(spans, key=lambda span: span.begun)

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Seen:
        """The only one of that name."""
        (span,) = self.named(name)
        return span


def printed(text: str) -> list[Seen]:
    """The spans among the lines of a worker with the console exporter, as far as they were printed whole."""
    return [Seen(json.loads(found)) for found in re.findall(r"^\{\n.*?^\}$", text, re.MULTILINE | re.DOTALL)]
