# $1 address, $2 port.
# shellcheck disable=SC2016 # for bash

if command -v nc >/dev/null 2>&1; then set -- nc -z "$1" "$2"
elif command -v bash >/dev/null 2>&1; then set -- bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2"
else echo "@none"; exit 0; fi
if timeout 4 "$@" </dev/null 2>/dev/null; then echo "@open"; else echo "@shut"; fi
