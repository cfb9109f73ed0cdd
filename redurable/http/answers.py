"""What a handler returns: a value. The pipeline of `app.py` makes the response, the log lines and the metrics of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

JSON = "application/json; charset=utf-8"
EMPTY = object()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response before it is written. `body` is a JSON value, `EMPTY` for none, or, with another `media`, its bytes.

    `instance` and `note` are for the audit line: which instance it was about, when the path does not say, and what else
    is worth knowing. `failure`: what to log of an error that is not the caller's.
    """

    status: int = 200
    body: Any = EMPTY
    headers: dict[str, str] = field(default_factory=dict[str, str])
    media: str = JSON
    instance: str = ""
    note: str = ""
    failure: Exception | None = None

    def response(self) -> Response:
        """The response, to be sent."""
        if self.body is EMPTY:
            return Response(status_code=self.status, headers=self.headers)
        content = self.body if isinstance(self.body, bytes) else to_json(self.body, inf_nan_mode="null")
        return Response(content, self.status, self.headers, self.media)


class Refused(Exception):
    """Raised where a request cannot go on; carries the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def refused(status: int, message: str = "", **headers: str) -> Refused:
    """That the request ends here: with Azure's form of an error when there is something to say, else without a body."""
    body = {"Message": message} if message else EMPTY
    return Refused(
        Answer(status=status, body=body, headers={name.replace("_", "-"): it for name, it in headers.items()})
    )


def bad_request(message: str, reason: str, kind: str = "System.ArgumentException") -> Answer:
    """What Azure says of arguments that it does not take. Its clients show `ExceptionMessage`."""
    return Answer(status=400, body=azure_error(message, reason, kind))


def azure_error(message: str, reason: str, kind: str) -> dict[str, str | None]:
    """Azure's body of an error. Where it has the stack of its host, there is nothing: that is nobody's business."""
    return {"Message": message, "ExceptionMessage": reason, "ExceptionType": kind, "StackTrace": None}
