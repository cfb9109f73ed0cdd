"""Subscribers of the runtime's announced facts: metrics and log lines. The runtime itself knows none of them."""
