#!/usr/bin/env bash
# Writes behind the tag of every image that is not built here the digest that its registry gives now:
# in the Dockerfiles and compose files below FOLDER (the repository), as NAME:TAG@sha256:... Needs
# Docker with buildx, and the registries. Nothing is changed where one of them does not answer.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"
files=(services/Dockerfile deploy/monitoring/flower/Dockerfile docker-compose.yml
  deploy/redis/*.yaml deploy/s3/*.yaml deploy/llm/*.yaml deploy/monitoring/*.yaml)
before='(ARG [A-Z0-9_]+_IMAGE=|\$\{[A-Z0-9_]+_IMAGE:-)'

images=$(grep -ohE "$before[^}@[:space:]]+" "${files[@]}" | sed -E "s#^$before##" | sort -u)
edits=()
for image in $images; do
  digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
  [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "$image: no digest but '$digest'" >&2; exit 1; }
  edits+=(-e "s#$before${image//./\\.}(@sha256:[0-9a-f]{64})?(\}|\$)#\1$image@$digest\3#")
  echo "$image@$digest"
done
sed -E -i "${edits[@]}" "${files[@]}"
