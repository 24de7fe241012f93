# $1 pid, $2 its start, $3 the node's folder, $4 its unit, "" for none. A unit that restarts its server would do so
# after a plain kill: it is stopped in the same breath.

. ./supervisors/identify.sh
. ./trust/trust.sh
. ./trust/claims.sh
. ./trust/main_process.sh

is_process "$1" "$2" || exit 0
demand_main "$1" "$3" "$4"
end_process "$1" "$2"
status=$?
if [ "$main" -gt 0 ]; then
    systemctl stop "$4"
    systemctl reset-failed "$4" 2>/dev/null
fi
exit $status
