# $1 folder, $2 cluster id, then as for as_owner.sh: only where nothing runs in a folder that is ours. Root looks:
# one that a service manager walled in hides from its own user.

. ./nodes/demand_ours.sh

process_in "$1" && exit "$RUNS"
[ -z "$unfit" ] || refuse_process "${unfit%% *}" "${unfit#* }"
[ -z "$(servers_in "$1")" ] || exit "$RUNS"
shift 2
. ./nodes/as_owner.sh
