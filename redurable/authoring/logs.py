"""The logger of an orchestration: every line once, although the code that writes it runs again on every replay."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from redurable.core.definition import Scope

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter


class ReplaySafeLogger(_Adapter):
    """A logger that is silent while the scope replays; its records carry `instance_id` and `execution`."""

    def __init__(self, logger: logging.Logger, scope: Scope) -> None:
        super().__init__(logger, {"instance_id": scope.instance, "execution": scope.execution})
        self._scope = scope

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name that logging calls
        """False while replaying."""
        return not self._scope.replaying and super().isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the bound fields to the record, beside those that the call gives."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs
