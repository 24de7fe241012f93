# $1 folder, $2 cluster id.

. ./trust/trust.sh
. ./nodes/visible.sh

demand_node "$1"
[ -f "$1/$MARKER" ] && [ ! -L "$1/$MARKER" ] || exit 0
grep -q "\"cluster_id\": *\"$2\"" "$1/$MARKER" 2>/dev/null || exit 0
[ ! -f "$1/$NODES_CONF" ] || [ -L "$1/$NODES_CONF" ] || cat "$1/$NODES_CONF"
