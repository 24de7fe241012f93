# $1 folder, $2 cluster id, then as for as_owner.sh; the script gets runs or rests as its last word.

. ./nodes/demand_ours.sh

state=rests
process_in "$1" && state=runs
[ -z "$unfit" ] || refuse_process "${unfit%% *}" "${unfit#* }"
shift 2
set -- "$@" "$state"
. ./nodes/as_owner.sh
