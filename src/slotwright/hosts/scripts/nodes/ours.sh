# $1 folder, $2 cluster id: sets folder; goes on only where it is empty or that cluster's. absent: what to end with
# where it is not there.
# shellcheck disable=SC2154 # absent: from whoever includes this

. ./nodes/process_in.sh
. ./nodes/visible.sh

folder=$1
demand_node "$folder"
[ -e "$folder" ] || exit "$absent"
if ! plain_file "$folder/$MARKER" || ! grep -q "\"cluster_id\": *\"$2\"" "$folder/$MARKER" 2>/dev/null; then
  [ -z "$(find "$folder/" -mindepth 1 -maxdepth 1 ! -name '.*.tmp')" ] || exit 44
fi
