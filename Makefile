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
.PHONY: help demo serve test lint format bench lock clean

help: ## Show this text
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/run ## Verify a real document, see a forged one refused, and both over HTTP
	@PATH="$(BIN):$$PATH" bash .ci/demo $(REAL) $(FORGED)
	@echo
	@$(BIN)/python .ci/demo-service

serve: $(VENV)/run ## Run the HTTP service on http://127.0.0.1:8080, state in ./data
	@ATTEST_DATA_DIR="$${ATTEST_DATA_DIR:-data}" $(BIN)/attest serve

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
	@echo
	@$(BIN)/python -m benchmarks.bench_service

lock: $(VENV)/dev ## Write the locked requirements anew
	$(LOCK) --upgrade pyproject.toml $(LOCKED)/build.in --extra service --extra testing \
		--output-file $(LOCKED)/run.txt
	$(LOCK) --upgrade pyproject.toml $(LOCKED)/build.in --constraints $(LOCKED)/run.txt \
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

$(VENV)/run: $(VENV)/bin/python $(LOCKED)/run.txt pyproject.toml
	@$(PIP) install --require-hashes --requirement $(LOCKED)/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev: $(VENV)/run $(LOCKED)/dev.txt
	@$(PIP) install --require-hashes --requirement $(LOCKED)/dev.txt
	@touch $@
