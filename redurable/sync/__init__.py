"""The client for code that is not async: scripts, Django, Flask.

from redurable.sync import Client

with Client("redis://localhost:6379", hub="orders") as client:
    handle = client.start(process_order, order)
    print(handle.result(timeout=30))
"""

from redurable.sync.client import Client
from redurable.sync.handle import Handle

__all__ = ["Client", "Handle"]
