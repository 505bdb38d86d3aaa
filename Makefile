# Needs Python 3.11 to 3.13, Node 20 or newer and make; everything else is installed here, into .venv and localcloud/node_modules.
PYTHON ?= python3
VEHICLES ?= 8
SEED ?= 1
DATA ?= .localcloud/data
BIN := .venv/bin

.PHONY: setup demo test soak day check up services peers clean
.DEFAULT_GOAL := demo

demo: setup
	@$(BIN)/python -m localcloud demo --vehicles $(VEHICLES) --seed $(SEED)

test: setup tests/witnesses/node_modules/.installed
	@$(BIN)/python -m pytest -n 3

soak: setup
	@$(BIN)/python -m tests.soak

day: setup
	@$(BIN)/python -m tests.day

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

up: setup
	@$(BIN)/python -m localcloud up --data $(DATA)

services: setup
	@$(BIN)/python -m localcloud services --data $(DATA)

peers: .venv-peers/.installed

clean:
	rm -rf .localcloud .venv .venv-peers localcloud/node_modules tests/witnesses/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

setup: .venv/.installed localcloud/node_modules/.installed

.venv/.installed: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "Python 3.11 to 3.13 is needed, %s is %d.%d; name another with PYTHON=…" % (sys.executable, *v))'
	@echo "Setting up Python packages in .venv …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.venv-peers/.installed: benchmarks/requirements-peers.txt
	@echo "Setting up the libraries that trips are measured beside in .venv-peers …"
	@$(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

localcloud/node_modules/.installed: localcloud/package.json localcloud/package-lock.json
	@command -v npm >/dev/null || { echo "Node 20 or newer with npm is needed for Azurite"; exit 1; }
	@echo "Setting up Azurite in localcloud/node_modules …"
	@npm ci --prefix localcloud --no-audit --no-fund --loglevel=error
	@touch $@

tests/witnesses/node_modules/.installed: tests/witnesses/package.json tests/witnesses/package-lock.json
	@echo "Setting up the JavaScript SDKs that the tests look at the local cloud with …"
	@npm ci --prefix tests/witnesses --no-audit --no-fund --loglevel=error
	@touch $@
