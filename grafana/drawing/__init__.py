"""Pictures of dashboards without Grafana: the panels with the data that they were given, as SVG."""
