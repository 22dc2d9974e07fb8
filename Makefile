# Everything here needs Python 3.11 or newer with venv and pip, make, and the system library libgomp. Nothing else.

PYTHON      ?= python3
BIN         := .venv/bin
PYTEST_ARGS ?=
# Two test processes on two cores: each keeps its numeric libraries to one thread.
ONE_THREAD  := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 POLARS_MAX_THREADS=1

# Where this is set, each of the hundreds of processes that the tests start would compile the whole package.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo install install-dev preflight test slow browser check lint types contracts secrets docs bench targets evidence status clean

help:
	@echo "make demo       install the core and watch Fieldcast do its whole job, offline"
	@echo "make test       install the development tools and run the fast tests (about 5 minutes; the first run compiles kernels)"
	@echo "make check      lint, types, import contracts, security and secret scan"
	@echo "make slow       the slow tests, those on real data and those that need a database server"
	@echo "make browser    the tests that need Chromium"
	@echo "make docs       build the documentation, warnings as errors"
	@echo "make bench      benchmarks beside peers         make evidence   long statistics (hours)"
	@echo "make targets    how long the jobs of one decision take; ends with an error where one takes longer than it may"
	@echo "make status     which rows of the feature table are proven"
	@echo "make clean      remove what was built (and .venv)"

# installation: a stamp stands for "installed from exactly this pyproject.toml and constraints.txt"

preflight:
	@$(PYTHON) tools/preflight.py

$(BIN)/python:
	@$(PYTHON) tools/preflight.py
	$(PYTHON) -m venv .venv

.venv/.core: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

.venv/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch .venv/.core $@

install: .venv/.core
install-dev: .venv/.dev

demo: preflight .venv/.core
	$(BIN)/fieldcast demo

# tests

test: preflight .venv/.dev
	$(ONE_THREAD) $(BIN)/pytest -n 2 --dist worksteal -m "not slow and not browser and not server" $(PYTEST_ARGS)

slow: preflight .venv/.dev
	$(ONE_THREAD) $(BIN)/pytest -n 2 --dist worksteal -m "(slow or server) and not browser" $(PYTEST_ARGS)

browser: preflight .venv/.dev
	$(ONE_THREAD) $(BIN)/pytest -m "browser" $(PYTEST_ARGS)

# checks

check: lint types contracts secrets

lint: .venv/.dev
	$(BIN)/ruff check .

types: .venv/.dev
	$(BIN)/mypy

contracts: .venv/.dev
	$(BIN)/lint-imports

secrets: .venv/.dev
	$(BIN)/bandit --quiet --recursive --severity-level medium --confidence-level medium src
	$(BIN)/python tools/secret_scan.py

docs: .venv/.dev
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --quiet

# figures

bench: .venv/.dev
	$(BIN)/python tools/evidence.py bench

targets: .venv/.dev
	$(BIN)/python benchmarks/targets.py --csv .status/targets.csv

evidence: .venv/.dev
	$(BIN)/python tools/evidence.py evidence

status:
	@$(PYTHON) tools/status.py $(ARGS)

clean:
	rm -rf .venv build dist site .status .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache fieldcast-demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
