"""The choices at the top of the dashboards."""

from __future__ import annotations

from grafana.model import Variable

HUB = Variable("hub", "Hub", "redurable_build_info", "Hubs whose workers are scraped.")
TYPE = Variable("type", "Orchestrator", 'redurable_turns_total{hub=~"$hub"}', "Registered orchestrators.")
ACTIVITY = Variable("activity", "Activity", 'redurable_activity_attempts_total{hub=~"$hub"}', "Registered activities.")
QUEUE = Variable(
    "queue",
    "Queue",
    'redurable_polls_total{hub=~"$hub"}',
    "Task queues, and the runtime's own streams, whose names begin with an underscore.",
)
INSTANCE = Variable(
    "instance", "Worker", 'redurable_build_info{hub=~"$hub"}', "Workers, by the address that is scraped."
)
