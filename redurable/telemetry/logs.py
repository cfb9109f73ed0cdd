"""Log lines of a worker: a subscriber of its facts that tells what a person should know, and two formats for lines.

Only what is out of the ordinary becomes a line; the ordinary is counted by the metrics. What others wrote (ids, error
texts) stands in many lines: neither format lets it begin a line of its own or steer a terminal.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from redurable.authoring.logs import RunFilter
from redurable.facts import DeadLettered, Fact, InstancesSwept, LeasesReclaimed

__all__ = ["JsonFormatter", "RunFilter", "TextFormatter", "log_fact", "log_to_stderr"]

log = logging.getLogger("redurable.worker")

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BOUND = ("instance_id", "execution", "orchestrator", "activity", "attempt", "trace_id", "span_id")
_LAST = ("exception", "stack")
# `taskName` is of Python 3.12.
_OF_LOGGING = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "bound", "traceparent"}


class TextFormatter(logging.Formatter):
    """Lines for people: time, level, logger, message, and whose code said it. Further lines of a message are indented,
    control characters escaped."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        """The first line, and those of a message that has more."""
        return _indented(super().formatMessage(record)) + _whose(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name that logging calls
        """The lines below."""
        return "    " + _indented(super().formatException(ei))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: `timestamp` (UTC), `level`, `logger`, `message`; the `constants`, for example
    hub and worker (they may be filled in later); `instance_id`, `execution`, `orchestrator` or `activity`, `attempt`,
    `trace_id` and `span_id` where the handler has a `RunFilter`; what was logged as `extra`; `exception`, `stack`."""

    def __init__(self, constants: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._constants: Mapping[str, str] = {} if constants is None else constants

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **self._constants,
        }
        found = {**vars(record), **_trace(record)}
        fields |= {name: found[name] for name in _BOUND if name in found}
        for name, value in vars(record).items():
            if name not in _OF_LOGGING and name not in _BOUND:
                fields[f"extra_{name}" if name in fields or name in _LAST else name] = value
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            fields["exception"] = record.exc_text
        if record.stack_info:
            fields["stack"] = record.stack_info
        return _line_of(fields)


def log_to_stderr(
    level: int | str = logging.INFO, style: str = "text", constants: Mapping[str, str] | None = None
) -> None:
    """Send all log lines of this process to stderr, unless something else has set up logging before. `style`: text, or
    json with these `constants` in every line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(constants) if style == "json" else TextFormatter())
    handler.addFilter(RunFilter())
    logging.basicConfig(level=level, handlers=[handler])


def log_fact(fact: Fact) -> None:
    """Log one fact, when it is worth a line. (Parked turns and a silent store are logged
    where they happen.)"""
    match fact:
        case DeadLettered():
            log.warning("%d message(s) went to the dead letters: %s", fact.count, _line(fact.reason))
        case LeasesReclaimed():
            log.info("took over %d %s lease(s) that had run out", fact.count, fact.kind)
        case InstancesSwept():
            log.info("announced %d instance(s) with unannounced mail", fact.count)
        case _:
            pass


def _line(text: str) -> str:
    return " ".join(text.split())


def _whose(record: logging.LogRecord) -> str:
    if not getattr(record, "bound", False):
        return ""
    found = vars(record)
    name = found.get("activity") or found.get("orchestrator")
    attempt = f" attempt {found['attempt']}" if "attempt" in found else ""
    return _escaped(f" [{name}{attempt} of {found['instance_id']}]")


def _indented(text: str) -> str:
    return "\n    ".join(_escaped(line) for line in text.split("\n"))


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # The arguments do not fit: logging would lose the line.
        return f"{record.msg!s} ({_shown(record.args)}: {error})"


def _trace(record: logging.LogRecord) -> dict[str, str]:
    """The span that is the current one, if the program uses OpenTelemetry; else the trace that was handed on."""
    api = sys.modules.get("opentelemetry.trace")
    if api is not None:
        current = api.get_current_span().get_span_context()
        if current.is_valid:
            return {"trace_id": f"{current.trace_id:032x}", "span_id": f"{current.span_id:016x}"}
    traceparent = getattr(record, "traceparent", "")
    return {"trace_id": traceparent[3:35]} if isinstance(traceparent, str) and traceparent else {}


def _line_of(fields: Mapping[str, Any]) -> str:
    try:
        line = json.dumps(fields, default=_shown, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        line = json.dumps({name: _plain(value) for name, value in fields.items()})
    return line.replace("\x7f", "\\u007f")


def _plain(value: object) -> str | int | None:
    if isinstance(value, int) and value.bit_length() > 64:
        return _shown(value)  # Python refuses to write thousands of digits.
    return value if isinstance(value, str | int | None) else _shown(value)


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} that has no text: {type(error).__name__}>"
