# Every target sets up what it needs. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Empty where there is no uv that runs: a shim of pyenv may stand for one that is not there. `make UV=` does without it.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv)
INSTALLED := $(VENV)/.installed
APP ?=
UPGRADE ?= --upgrade
FAULTS ?= tests/faults

.DEFAULT_GOAL := help
.PHONY: help demo test install check lint types test-fast test-slow faults golden bench docs lock sbom clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## train, evaluate, export and serve on embedded data; APP=name runs one app
	@$(BIN)/fieldnets demo $(if $(APP),--app $(APP))

test: $(INSTALLED) ## the whole test suite but the tests marked slow
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not slow" --durations 15

install: $(INSTALLED) ## make .venv from requirements.lock

# uv installs several times faster than pip; both read the same lock with the same hashes.
$(INSTALLED): requirements.lock pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "fieldnets needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version). Name another: make PYTHON=python3.12 ..."; exit 2; }
	@rm -rf $(VENV)
	@if [ -n "$(UV)" ]; then \
		$(UV) venv --quiet --python "$$(command -v $(PYTHON))" $(VENV) && \
		UV_COMPILE_BYTECODE=1 $(UV) pip install --quiet --python $(VENV) --require-hashes -r requirements.lock && \
		$(UV) pip install --quiet --python $(VENV) --no-deps --no-build-isolation --editable . ; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
		$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . ; \
	fi
	@touch $@

check: lint types test-fast ## lint, types, import contracts and the tests that need no TensorFlow

lint: $(INSTALLED) ## style and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(INSTALLED) ## strict types
	@$(BIN)/mypy

test-fast: $(INSTALLED) ## the tests that take seconds
	@$(BIN)/pytest -q -m "not slow and not tensorflow and not browser"

test-slow: $(INSTALLED) ## the tests marked slow
	@$(BIN)/pytest -m slow

faults: $(INSTALLED) ## kills, full disks, hostile inputs and requests, whole; FAULTS="FILE -k NAME" runs a part
	@mkdir -p runs
	@FIELDNETS_FAULTS=whole FIELDNETS_FAULTS_FIGURES=$(CURDIR)/runs/faults.jsonl $(BIN)/pytest -q -n 0 -m fault $(FAULTS); \
		code=$$?; $(BIN)/python -m tests.faults.trials runs/faults.jsonl; exit $$code

golden: $(INSTALLED) ## rewrite the golden numbers in tests/golden; look at the diff
	@$(BIN)/python -m tests.golden

bench: $(INSTALLED) ## benchmarks: ratios measured in one run; writes docs/performance.md
	@for file in benchmarks/*.py; do $(BIN)/python -m benchmarks.$$(basename $$file .py) || exit 1; done
	@$(BIN)/python -m benchmarks.results

docs: $(INSTALLED) ## the documentation as a site, in build/site; offline
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "build/site/index.html"

lock: ## resolve requirements.lock anew (needs uv); UPGRADE= keeps every version that still fits
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate $(UPGRADE) \
		--extra dev --extra dicom --extra docs --extra encoder --extra engines --extra hub --extra pretrained --extra signing --constraint .ci/constraints.txt --custom-compile-command "make lock" -o requirements.lock pyproject.toml

sbom: ## print a bill of materials of requirements.lock: CycloneDX in JSON
	@$(PYTHON) deploy/sbom.py

clean: ## remove what the targets made, runs included
	@rm -rf $(VENV) $(VENV)-clients runs build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
