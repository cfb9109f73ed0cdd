"""Calls of children, and their retries.

A retry policy is a loop of ordinary commands: a call, a durable timer, the next call. So the history tells of every
attempt, and replays agree without knowing of policies. Wired by done callbacks, like `waiting`: cancelling the outcome
cancels whatever it waits for. The jitter of a delay comes from the failure's place in the history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from msgspec.structs import replace

from redurable.authoring.calls import StartCall
from redurable.authoring.payloads import encode
from redurable.authoring.policies import OrchestratorOptions, milliseconds
from redurable.authoring.waiting import error_of, settle
from redurable.core.definition import Scope
from redurable.core.ids import check_instance_id
from redurable.core.retry import next_delay
from redurable.core.settle import TAKEN, TERMINATED
from redurable.core.values import ABSENT, Child, Failure, ParentClose, Retry
from redurable.errors import CallFailed, OrchestrationCanceled, SubOrchestrationFailed

T = TypeVar("T")

_FINAL = frozenset({TAKEN, TERMINATED, OrchestrationCanceled.__name__})
"""What another attempt would not change, or what somebody has decided. Said by the runtime: user code has a stack."""


def call_child(scope: Scope, asked: StartCall) -> asyncio.Future[Any]:
    """Start a child and wait for it. With a retry policy, the last `SubOrchestrationFailed` says by its `attempts` how
    many there were."""
    first = child_of(asked.options)
    policy = asked.options["retry"].wire if "retry" in asked.options else None

    def call(attempt: int) -> asyncio.Future[Any]:
        child = first if attempt == 1 else _following(first, attempt)
        return scope.call_sub_orchestrator(asked.name, asked.call, child, asked.result.decode)

    if policy is None:
        return call(1)
    if first.instance:
        check_instance_id(_following(first, policy.max_attempts).instance)
    return _Attempts(scope, policy, call, bool(first.instance)).outcome


def child_of(options: OrchestratorOptions) -> Child:
    """What the options say of the child itself."""
    delay = milliseconds(options["delay"]) if "delay" in options else 0
    limit = milliseconds(options["execution_timeout"]) if "execution_timeout" in options else 0
    instance, tags = options.get("instance_id", ""), options.get("tags", {})
    memo = encode(options["memo"], f"child {instance!r}", "memo") if "memo" in options else ABSENT
    close = ParentClose(options.get("parent_close", "terminate"))
    return Child(instance, tags, delay, execution_timeout=limit, parent_close=close, memo=memo)


def _following(first: Child, attempt: int) -> Child:
    """A later attempt: another instance, because the one that failed keeps its id. It has waited long enough."""
    instance = f"{first.instance}:{attempt}" if first.instance else ""
    return replace(first, instance=instance, delay=0, attempt=attempt)


class _Attempts(Generic[T]):
    """The calls of one policy, one after the other."""

    def __init__(
        self, scope: Scope, policy: Retry, call: Callable[[int], asyncio.Future[T]], named: bool = False
    ) -> None:
        self._scope = scope
        self._policy = policy
        self._call = call
        self._attempt = 1
        self._begun = scope.clock
        self._named = named
        self._before: BaseException | None = None
        first = call(1)
        self._waiting: asyncio.Future[Any] = first
        self.outcome: asyncio.Future[T] = first.get_loop().create_future()
        self.outcome.add_done_callback(self._pass_on_cancellation)
        first.add_done_callback(self._on_end)

    def _on_end(self, call: asyncio.Future[T]) -> None:
        error = error_of(call)
        if self.outcome.done():
            return
        if call.cancelled():
            self.outcome.cancel()
            return
        if not isinstance(error, SubOrchestrationFailed):
            settle(self.outcome, call)
            return
        if not self._named:
            # A rewind takes all attempts back, so that the policy begins anew. Attempts with ids that somebody chose
            # cannot begin anew, because those ids are taken: then it is the last one that goes on.
            error.__cause__, self._before = self._before, error
        delay = self._delay(error.failure)
        if delay is None:
            failure = replace(error.failure, attempts=self._attempt)
            last = SubOrchestrationFailed(error.name, failure)
            last.__cause__ = error
            settle(self.outcome, call, last)
            return
        self._wait_for(lambda: self._scope.create_timer(self._scope.clock + delay), self._on_pause)

    def _on_pause(self, pause: asyncio.Future[None]) -> None:
        if self.outcome.done() or pause.cancelled():
            self.outcome.cancel()
            return
        self._attempt += 1
        self._wait_for(lambda: self._call(self._attempt), self._on_end)

    def _wait_for(self, begin: Callable[[], asyncio.Future[Any]], then: Callable[[asyncio.Future[Any]], None]) -> None:
        try:
            waiting = begin()
        except BaseException as error:  # The execution has asked for too much, or continues as new.
            self.outcome.set_exception(error)
        else:
            self._waiting = waiting
            waiting.add_done_callback(then)

    def _delay(self, failure: Failure) -> int | None:
        """Milliseconds until the next attempt; None when there is none."""
        if failure.type in _FINAL and not failure.stack:
            return None
        named = {name.rpartition(".")[2] for name in self._policy.non_retryable}
        if named and not named.isdisjoint(_types(failure)):
            return None
        # Where the failure stands in the history: the same on every replay, and on every version of Python.
        delay = next_delay(self._policy, self._attempt, f"{self._scope.execution}:{self._scope.history_length}")
        limit = self._policy.retry_timeout_ms
        late = delay is not None and limit and self._scope.clock + delay > self._begun + limit
        return None if late else delay

    def _pass_on_cancellation(self, outcome: asyncio.Future[T]) -> None:
        if outcome.cancelled():
            self._waiting.cancel()


def _types(failure: Failure) -> Iterator[str]:
    """The type of an error; of a call that failed, those of what made it fail, too."""
    seen: Failure | None = failure
    while seen is not None:
        yield seen.type
        seen = seen.cause if seen.type in _CALLS else None


def _names(kind: type[CallFailed]) -> Iterator[str]:
    yield kind.__name__
    for inner in kind.__subclasses__():
        yield from _names(inner)


_CALLS = frozenset(_names(CallFailed))
