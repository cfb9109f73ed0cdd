"""A hub of its own for each test."""

from __future__ import annotations

from tests.integration.conftest import hub

__all__ = ["hub"]
