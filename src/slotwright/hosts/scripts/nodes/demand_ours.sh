# $1 folder, $2 cluster id: goes on only where the folder is there, can be believed and is that cluster's.

. ./nodes/process_in.sh
. ./nodes/visible.sh

demand_node "$1"
[ -e "$1" ] || exit 45
plain_file "$1/$MARKER" || exit 44
grep -q "\"cluster_id\": *\"$2\"" "$1/$MARKER" 2>/dev/null || exit 44
