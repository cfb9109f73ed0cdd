"""The public test kit: what those need who test their own orchestrations, or bring a store of their own."""

from redurable.testing.environments import Environment, environment
from redurable.testing.replaying import replay_history

__all__ = ["Environment", "environment", "replay_history"]
