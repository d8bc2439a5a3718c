#!/usr/bin/env bash
# Fails when the committed generated code differs from what protos/ gives, or when the public API
# would break a client of the one that was published last (protos/published.json, a buf image).
set -euo pipefail
cd "$(dirname "$0")/.."
buf=$PWD/.venv/bin/buf
(cd protos && "$buf" breaking --against published.json --path reclens/api/steering) ||
  { echo "protos/ breaks clients of the published API: add, do not change" >&2; exit 1; }
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
deploy/generate-protos.sh "$fresh"
diff -r -x __pycache__ "$fresh/reclens/api" shared/src/reclens/api ||
  { echo "shared/src/reclens/api is stale: run make protos" >&2; exit 1; }
