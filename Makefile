# `make demo` and `make test` need nothing but Python (3.11 or later), git and make: they set up
# a private virtual environment in .venv from the locked files, and run.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCKED := .ci/locked
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
REAL := tests/vectors/real/regular_2026_06_tls_g2_rsa_ca_ocsp_02.json
FORGED := tests/vectors/forged_subscription.json

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench lock clean

help: ## Show this text
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/core ## Verify a real document, and see a forged one refused
	@PATH="$(BIN):$$PATH" bash .ci/demo $(REAL) $(FORGED)

test: $(VENV)/dev ## Run the tests
	@$(BIN)/python -m pytest --numprocesses=2 --cov --cov-report=term

lint: $(VENV)/dev ## Check style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/dev ## Format the code
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .

bench: $(VENV)/dev ## Print speed and memory, as ratios of one run
	@$(BIN)/python -m benchmarks
	@echo
	@$(BIN)/python -m benchmarks.bench_testing

lock: $(VENV)/dev ## Write the locked requirements anew
	$(LOCK) --upgrade pyproject.toml $(LOCKED)/build.in --output-file $(LOCKED)/core.txt
	$(LOCK) --upgrade pyproject.toml $(LOCKED)/build.in --constraints $(LOCKED)/core.txt \
		--all-extras --output-file $(LOCKED)/dev.txt

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url

clean: ## Remove the virtual environment and everything that was made
	rm -rf $(VENV) dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11 ...")'
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/core: $(VENV)/bin/python $(LOCKED)/core.txt pyproject.toml
	@$(PIP) install --require-hashes --requirement $(LOCKED)/core.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev: $(VENV)/core $(LOCKED)/dev.txt
	@$(PIP) install --require-hashes --requirement $(LOCKED)/dev.txt
	@touch $@
