# Two commands on a fresh machine: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PROJECTS := shared/pyproject.toml $(wildcard services/*/pyproject.toml)
# Imports of one machine must not leak in, and parallel maths on few cores is left to torch.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help venv demo test check ci up-local down-local protos clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

venv: $(STAMP)

$(STAMP): constraints.txt requirements-dev.txt $(PROJECTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "RecLens needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip setuptools wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
	  -c constraints.txt -r requirements-dev.txt
	touch $@

demo: $(STAMP) ## Real data to a steered recommendation (KEEP=1 leaves the stack up)
	$(BIN)/reclens demo $(if $(KEEP),--keep)

test: $(STAMP) ## All tests, with real Redis and S3 servers
	$(BIN)/python -m pytest

check: $(STAMP) ## Lint, format, types, architecture, protos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	cd protos && ../$(BIN)/buf lint
	deploy/check-protos.sh

ci: check test ## Exactly what CI runs

up-local: $(STAMP) ## Start the stack without Docker; writes .reclens/endpoints.json
	$(BIN)/reclens up

down-local: $(STAMP) ## Stop it
	$(BIN)/reclens down

protos: $(STAMP) ## Regenerate shared/src/reclens/api from protos/
	deploy/generate-protos.sh

clean: ## Remove what was built or computed here
	rm -rf $(VENV) .reclens out
