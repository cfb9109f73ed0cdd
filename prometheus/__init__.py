"""Alerts and recording rules as code: `make docs` writes the rule files and their tests beside this file."""
