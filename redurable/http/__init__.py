"""The HTTP management API: what Azure Durable Functions' clients speak, for the hubs of redurable.

    api = ManagementApi(client)                      # mount it: Mount("/", app=api)
    keys = read_keys("ops:admin:a-long-random-secret")

`redurable serve` runs it alone. It needs the extra `server`.
"""

from redurable.http.app import ManagementApi
from redurable.http.keys import ApiKey, Role, read_keys
from redurable.http.loglines import HideCodes

__all__ = ["ApiKey", "HideCodes", "ManagementApi", "Role", "read_keys"]
