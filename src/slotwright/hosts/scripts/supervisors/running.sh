# Pairs of a pid and a start: those that are alive.

. ./supervisors/identify.sh

while [ $# -ge 2 ]; do
    if is_process "$1" "$2"; then printf '%s\n' "$1 $2"; fi
    shift 2
done
