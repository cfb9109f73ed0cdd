# redurable needs nothing but make and Python >= 3.11: no root, no Redis. Everything is installed into $(VENV).
#
#   make demo PYTHON=/opt/python3.13/bin/python3   another interpreter (it makes the environment, so `make clean` first)
#   make test VENV=/tmp/py312 PYTHON=python3.12    another environment beside the first
#   make test ARGS="tests/core -k timer"           more for pytest

VENV := .venv
ARGS :=
PYTEST := $(VENV)/bin/python -m pytest
EXPLICIT_PYTHON := $(if $(filter command,$(firstword $(origin PYTHON))),$(PYTHON))

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-properties test-cluster check docs golden pictures bench autoscale clean

help:
	@echo "make demo    install what is needed into $(VENV) and show orchestrations surviving crashes"
	@echo "make test    run the tests (not those marked slow; ARGS=... goes to pytest)"
	@echo "make test-slow   the tests marked slow, but those of the cluster: 200 restarts of workers (minutes)"
	@echo "make test-properties   the properties on twenty times as many examples (half an hour)"
	@echo "make test-cluster    the chart on a real API server (needs Go and etcd; builds the server once)"
	@echo "make check   formatting, lint, types, import rules and the other rules of the architecture"
	@echo "make docs    write the pages that are made from the code: docs/settings.md, docs/metrics.md,"
	@echo "             grafana/dashboards, prometheus/rules, prometheus/kubernetes"
	@echo "make golden  write tests/deploy/golden: what the chart renders"
	@echo "make pictures  draw grafana/pictures from a load that a real Prometheus watches (minutes)"
	@echo "make bench   run the benchmarks (ONLY=hello_sequence,chain_500 runs a choice)"
	@echo "make autoscale  simulate a wave of load and draw docs/autoscale.svg (minutes)"
	@echo "make clean   delete $(VENV), caches and build products (never .redurable: that is your data)"

demo: $(VENV)/.embedded.stamp
	@$(VENV)/bin/python -m redurable demo

test: $(VENV)/.test.stamp $(VENV)/.helm.stamp
	$(PYTEST) -n auto --maxprocesses 8 --dist loadgroup -m "not slow" $(ARGS)

test-slow: $(VENV)/.test.stamp
	$(PYTEST) -m slow --ignore tests/cluster $(ARGS)

test-properties: $(VENV)/.test.stamp
	HYPOTHESIS_PROFILE=thorough $(PYTEST) -n auto --dist loadgroup tests/properties tests/integration/test_foreign_fuzz.py $(ARGS)

test-cluster: $(VENV)/.helm.stamp
	sh scripts/build_apiserver $(VENV)
	$(PYTEST) -m slow tests/cluster $(ARGS)

check: $(VENV)/.test.stamp
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/lint-imports --no-logo
	$(PYTEST) -q tests/architecture
	$(VENV)/bin/python -m pyright

docs: $(VENV)/.test.stamp
	$(VENV)/bin/python scripts/settings_page.py
	$(VENV)/bin/python scripts/metrics_page.py
	$(VENV)/bin/python -m grafana
	$(VENV)/bin/python -m prometheus
	$(VENV)/bin/python scripts/chart_readme.py
	$(VENV)/bin/python scripts/chart_files.py

golden: $(VENV)/.helm.stamp
	$(VENV)/bin/python -m tests.deploy.renders

pictures: $(VENV)/.test.stamp
	$(VENV)/bin/python -m tests.monitoring.pictures

bench: $(VENV)/.test.stamp
	$(VENV)/bin/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(ARGS)

autoscale: $(VENV)/.test.stamp
	$(VENV)/bin/python -m benchmarks.autoscale --picture docs/autoscale.svg $(ARGS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find redurable tests examples benchmarks docs grafana prometheus -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# helm and kubectl, for the tests of the chart.
$(VENV)/.helm.stamp: scripts/fetch_helm.py $(VENV)/.test.stamp
	@$(VENV)/bin/python scripts/fetch_helm.py $(VENV)
	@touch $@

# One environment for all targets; a stamp for each set of extras that was installed into it.
$(VENV)/.%.stamp: pyproject.toml scripts/install
	@EXPLICIT_PYTHON="$(EXPLICIT_PYTHON)" PYTHON="$(PYTHON)" sh scripts/install $(VENV) $*
	@touch $@
