# $1 unit, $2 overrides file, $3 the node's folder, $4 the server; stdin: the overrides. Root writes nothing in a folder
# of the service user.

. ./supervisors/identify.sh
. ./trust/trust.sh

demand_node "$3"
demand_program "$4"
demand_modules "$3"
given=$(cat)
(umask 077 && mkdir -p "${2%/*}" && printf '%s\n' "$given" >"$2") || exit 1
# A unit that failed too often before has to be forgiven first.
systemctl start "$1" 2>/dev/null || { systemctl reset-failed "$1" 2>/dev/null; systemctl start "$1"; }
status=$?
rm -f "$2"
main=$(systemctl show -p MainPID "$1")
main=${main#MainPID=}
if [ $status -ne 0 ]; then
    journalctl -q -u "$1" -n 6 -o cat --no-pager >&2 2>/dev/null
    exit 1
fi
if [ "${main:-0}" -gt 0 ] && started_at "$main"; then printf '%s\n' "$main $started"; else echo gone; fi
