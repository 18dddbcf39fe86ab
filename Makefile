# The front door. `make` alone lists the targets. Nothing here needs root, a running server or a download from
# anywhere but the package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Most tests wait for processes and servers rather than compute: several at a time for each core. End-to-end tests have
# the more at stake in time and share the machine with fewer.
JOBS ?= 4
E2E_JOBS ?= 3
SOAK_TESTS := tests/integration/test_failpoints_ledger.py $(addprefix tests/e2e/test_,failpoints.py death.py clock.py)
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet --quiet

.DEFAULT_GOAL := help
.PHONY: help setup run fake-clouds test check format bench soak chaos mutants lock clean

help: ## list the targets
	@echo "Holdfast: daily cloud costs, collected whatever Redis does"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## make .venv with everything needed; does nothing when nothing has changed

# Written last, so that an interrupted installation is begun again.
$(STAMP): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Holdfast needs Python 3.11 or newer: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.11" >&2; exit 1; }
	@[ -x $(BIN)/python ] || { echo "Making $(VENV)"; $(PYTHON) -m venv $(VENV); } || \
	  { echo "python3 cannot make virtual environments: install its venv package (python3-venv on Debian)" >&2; exit 1; }
	@echo "Installing the locked requirements (about half a minute, once)"
# The lock is whole: with nothing to resolve, no release of tomorrow can change what is installed.
	@$(PIP) install --no-deps --require-hashes -r requirements-dev.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

run: setup ## start everything here, with sample costs (CLOUDS=fake: on fake clouds): API on 4000 (PORT=… moves it); Ctrl-C stops it
	@trap : INT; $(BIN)/python -m $(if $(filter fake,$(CLOUDS)),tests.fakes --run,holdfast_cli.devrun) || { status=$$?; [ $$status -eq 130 ] || exit $$status; }

fake-clouds: setup ## a Cost Explorer and an Azure Query that behave, on free ports; Ctrl-C stops them
	@trap : INT; $(BIN)/python -m tests.fakes

test: check ## everything that is checked before a change is taken: check, then all tests
# Lines are counted where they must all be met; counting takes half as long again as the tests themselves.
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "not integration and not e2e" --cov=shared/core --cov-report=
	$(BIN)/coverage report --skip-covered --fail-under=100
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "integration and not e2e"
	$(BIN)/pytest -n $(E2E_JOBS) --dist worksteal -m e2e

check: setup ## lint, format, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put the code into its one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## measure recovery and the cost of being safe (tens of minutes)
	@for file in $$(grep -l '^if __name__ ==' benchmarks/*.py); do \
	  echo "== $$file"; $(BIN)/python -m "benchmarks.$$(basename "$$file" .py)" || exit 1; \
	done

soak: setup ## every death and 200 random kills on each database; SOAK="--seed 7" repeats those (half an hour)
	LEDGER_EXAMPLES=300 $(BIN)/pytest -q tests/integration/test_ledger_machine.py
	EVERY_DATABASE=1 $(BIN)/pytest -q $(SOAK_TESTS)
	$(BIN)/python -m tests.soak $(SOAK)

chaos: setup ## every fault under the real processes, with thresholds (half an hour); FAULT=name for one; PEERS=1: others
	$(BIN)/python -m tests.chaos$(if $(PEERS),.peers) $(if $(FAULT),--fault $(FAULT)) $(CHAOS)

mutants: setup ## change every expression of shared/core in turn and list what no unit test notices (a quarter of an hour)
	rm -rf mutants
	$(BIN)/mutmut run --max-children $(JOBS)
	$(BIN)/mutmut results

lock: ## write the requirements again from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links -o requirements.txt
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --extra dev -o requirements-dev.txt

clean: ## remove what was installed and measured; var/ (database, exports) stays
	rm -rf $(VENV) mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov ./*.egg-info
