# The words to know: make demo, make test, make check.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow check format bench docs clean server faults

demo: $(VENV)/.demo
	$(BIN)/huizhen demo

test: $(VENV)/.check server
	$(BIN)/python -m pytest -n 2

test-slow: $(VENV)/.check server
	$(BIN)/python -m pytest -n 2 -m slow

check: $(VENV)/.check server
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2
	$(MAKE) docs

format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.check
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs

bench: $(VENV)/.bench
	$(BIN)/python -m pytest benchmarks --benchmark-disable -s -p no:xdist

# Real programs are killed, cut off and starved; writes docs/explanation/faults.md. As root also networks and disks.
faults: $(VENV)/.check server
	$(BIN)/python benchmarks/faults.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -q -e .[demo]
	touch $@

# Without torch in place, a package that needs it would bring the newest build for GPUs, several gigabytes of it.
TORCH := torch==2.13.0

$(VENV)/.check: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -q $(TORCH)
	$(BIN)/pip install -q -e .[check]
	touch $@

$(VENV)/.bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -q $(TORCH)
	$(BIN)/pip install -q -e .[bench]
	touch $@

# What goes between hospitals is tested with NATS's own server; tests that miss it are skipped aloud, and fail in CI.
server:
	@if PATH="$$PATH:/usr/sbin:/usr/local/bin" command -v nats-server > /dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends nats-server; } > /dev/null \
	    || echo "nats-server could not be installed; tests that need it are skipped."; \
	else echo "nats-server is missing; tests that need it are skipped. Install it: apt-get install nats-server"; fi

clean:
	rm -rf $(VENV) huizhen-out build dist
