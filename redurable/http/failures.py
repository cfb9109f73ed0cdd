"""What an error of redurable is on the wire."""

from __future__ import annotations

from redurable.errors import (
    CallerError,
    HubNotFound,
    InstanceAlreadyExists,
    InstanceFinished,
    InstanceNotFinished,
    InstanceNotFound,
    StoreError,
)
from redurable.http.answers import Answer, azure_error, bad_request

RETRY_SECONDS = "5"
ARGUMENTS = "One or more of the arguments submitted is incorrect"
WRONG = "Something went wrong while processing your request"
INVALID_OPERATION = "System.InvalidOperationException"


def answer_of(error: Exception) -> Answer:
    """The answer. What the caller cannot mend has a `failure`, to be logged; its text may name hosts, so it is not
    told."""
    match error:
        case InstanceNotFound() | HubNotFound():
            return Answer(status=404)
        case InstanceFinished():
            return Answer(status=410)
        case InstanceAlreadyExists() | InstanceNotFinished():
            return conflict(str(error))
        case CallerError():
            return bad_request(ARGUMENTS, str(error))
        case StoreError():
            said = azure_error(WRONG, "The store is not available: try again.", "System.TimeoutException")
            return Answer(status=503, body=said, headers={"Retry-After": RETRY_SECONDS}, failure=error)
        case _:
            said = azure_error(WRONG, "An internal error: see the log of the server.", "System.Exception")
            return Answer(status=500, body=said, failure=error)


def conflict(reason: str, kind: str = INVALID_OPERATION) -> Answer:
    """The instance is in a state in which that cannot be done. Azure has the same body with 500."""
    return Answer(status=409, body=azure_error(WRONG, reason, kind))
