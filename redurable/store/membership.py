"""Who works for a hub, and what each of them can do: values of the port."""

from __future__ import annotations

from msgspec import Struct


class Skills(Struct, frozen=True, omit_defaults=True):
    """What a worker can do, as it tells the others: its roles, the orchestrators and activities that its code
    registers, and the task queues that it serves. `surveys`: it can tell somebody how the whole hub is."""

    roles: tuple[str, ...] = ()
    orchestrators: tuple[str, ...] = ()
    activities: tuple[str, ...] = ()
    task_queues: tuple[str, ...] = ()
    surveys: bool = False


class Membership(Struct, frozen=True):
    """The workers of the hub whose heartbeat is fresh, by name, and what they can do."""

    now: int
    workers: dict[str, Skills]
