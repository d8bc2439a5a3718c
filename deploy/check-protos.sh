#!/usr/bin/env bash
# Fails when the committed generated code differs from what protos/ gives.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
deploy/generate-protos.sh "$fresh"
diff -r -x __pycache__ "$fresh/reclens/api" shared/src/reclens/api ||
  { echo "shared/src/reclens/api is stale: run make protos" >&2; exit 1; }
