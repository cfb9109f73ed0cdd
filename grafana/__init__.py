"""The Grafana dashboards as code: `make docs` writes them into grafana/dashboards/."""
