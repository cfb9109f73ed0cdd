"""The client: a process that starts orchestrations, talks to them, and asks how they are."""

from redurable.client.attempts import PendingActivity
from redurable.client.bulk import BulkProgress
from redurable.client.client import Client
from redurable.client.explaining import Reason
from redurable.client.handle import Handle
from redurable.client.letters import DeadLetter
from redurable.client.queries import InstanceFilters, Page
from redurable.client.status import Quarantine, Status

__all__ = [
    "BulkProgress",
    "Client",
    "DeadLetter",
    "Handle",
    "InstanceFilters",
    "Page",
    "PendingActivity",
    "Quarantine",
    "Reason",
    "Status",
]
