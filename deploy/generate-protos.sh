#!/usr/bin/env bash
# Regenerates shared/src/reclens/api from protos/. The proto path equals the Python package,
# so the generated imports work as they are.
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:-shared/src}"
python=${PYTHON:-.venv/bin/python}
mapfile -t files < <(cd protos && find reclens -name '*.proto' | sort)
mkdir -p "$out"
"$python" -m grpc_tools.protoc -I protos --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" \
  "${files[@]/#/protos/}"
find "$out/reclens/api" -type d -exec sh -c 'test -e "$1/__init__.py" || : > "$1/__init__.py"' _ {} \;
