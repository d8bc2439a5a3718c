#!/bin/sh
# Starts the exporter with the login that stands in the address of Redis,
# redis://user:password@host:port/database, so that no command line and no container's environment
# shows it. Nothing in it is percent-encoded: passwords are letters, digits, `-` and `_`.
set -eu
file=${RECLENS_SECRETS_DIR:-/run/secrets/reclens}/RECLENS_REDIS__URL
[ -s "$file" ] || { echo "$file is missing or empty: mount the secrets." >&2; exit 1; }
url=$(cat "$file")
rest=${url#*://}
address=${rest##*@}
case $rest in
  *@*)
    login=${rest%@*}
    export REDIS_USER="${login%%:*}" REDIS_PASSWORD="${login#*:}"
    ;;
esac
case $address in
  */?*) database=${address#*/} ;;
  *) database=0 ;;
esac
keys=
for key in capture train label pipeline; do
  keys=$keys,db$database=$key
done
export REDIS_ADDR="${url%%://*}://${address%%/*}"
export REDIS_EXPORTER_CHECK_SINGLE_KEYS="${keys#,}"
# Reading Redis' settings would take the right to read its passwords too.
export REDIS_EXPORTER_CONFIG_COMMAND=-
exec "${REDIS_EXPORTER:-/redis_exporter}"
