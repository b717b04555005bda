# Every command of the project. A fresh machine needs only git, make and Python 3.11 or newer:
# each target first makes what it needs, and makes it once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS ?=
# Tests run in one process for each core; those of one file stay together, for they share networks.
SPREAD := -n auto --dist loadfile

# Each stamp says "done with these requirements"; a newer requirement makes it stale.
BASE := $(VENV)/.base-done
RUNTIME := $(VENV)/.runtime-done
DEV := $(VENV)/.dev-done
BENCH := $(VENV)/.bench-done
AUDIT := $(VENV)/.audit-done
DOORS := $(VENV)/.doors-done
DOCS := $(VENV)/.docs-done
PHONES := $(VENV)/.phones-done

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup up test check format docs accept soak bench bench-beside bench-pictures console-pictures lock clean

help: ## this list
	@echo "harambee: mobile money with no central switch"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  ARGS='...' passes options on: make up ARGS='--super-agents 7'"

setup: $(RUNTIME) ## make .venv with the pinned dependencies and .venv/bin/harambee

up: setup ## start a network of super-agents on this machine; Ctrl-C stops it
	@$(BIN)/harambee up $(ARGS)

test: $(DEV) ## the tests, deterministic, without those that need root or many minutes
	@$(BIN)/python -m pytest tests -q -m "not accept and not soak" $(SPREAD) $(ARGS)

check: $(DEV) ## format, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(DEV) ## write the format, and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(DOCS) ## a site of the documentation under build/site; needs no network to build, nor to read
	@$(BIN)/python -m scripts.build_site

accept: $(DEV) $(BENCH) $(AUDIT) $(DOORS) $(PHONES) ## what needs distribution packages, root, a browser or minutes
	@scripts/accept.sh $(ARGS)

soak: $(DEV) ## the same properties with far more examples, for a night
	@HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest tests -q -m "not accept" $(SPREAD) $(ARGS)

bench: setup ## measure: make bench ARGS='network --json'
	@$(BIN)/harambee bench $(ARGS)

bench-beside: $(BENCH) ## measure us beside PostgreSQL with two synchronous standbys (apt-get install postgresql)
	@$(BIN)/python -m benches.beside $(ARGS)

bench-pictures: $(BENCH) ## measure again what docs/pictures shows, and draw it
	@$(BIN)/python -m benches.pictures $(ARGS)

console-pictures: $(DEV) ## look at every page of the console and draw it again (apt-get install chromium)
	@PYTHONPATH=. $(BIN)/python -m scripts.console_pictures $(ARGS)

lock: $(BASE) ## follow requirements/*.in to the end; writes the pinned *.txt
	@VENV=$(VENV) scripts/lock.sh

clean: ## remove .venv and caches; a network's data (harambee-network/) stays
	rm -rf $(VENV) build dist src/harambee.egg-info .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests benches scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(BASE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "harambee needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make a virtual environment (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@touch $@

$(RUNTIME): $(BASE) pyproject.toml requirements/build.txt requirements/runtime.txt
	@echo "installing the pinned dependencies into $(VENV)"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/build.txt -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	$(BIN)/harambee warm-up
	@touch $@

$(DEV): $(RUNTIME) requirements/dev.txt
	@echo "installing the pinned tools into $(VENV)"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/dev.txt
	@touch $@

$(BENCH): $(RUNTIME) requirements/bench.txt
	@echo "installing what benches need into $(VENV)"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/bench.txt
	@touch $@

$(AUDIT): $(DEV) requirements/audit.txt
	@echo "installing Ray and DuckDB into $(VENV)"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/audit.txt
	@touch $@

$(DOORS): $(DEV) requirements/doors.txt
	@echo "installing schemathesis and clients of Daraja into $(VENV)"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/doors.txt
	@touch $@

$(DOCS): $(RUNTIME) requirements/docs.txt
	@echo "installing what makes the documentation's site into $(VENV)"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/docs.txt
	@touch $@

$(PHONES): $(DEV) requirements/phones.txt
	@echo "installing clients of Africa's Talking and SMPP, and an SMSC, into $(VENV)"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/phones.txt
	@touch $@
