"""Dashboards, alerts, and the proof on a real Prometheus."""
