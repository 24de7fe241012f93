# $1 folder; it belongs to owner. Prints the marker that is there already.

. ./trust/trust.sh

folder=$1
umask 022
parent=${folder%/*}
demand_folder "$parent" above
# shellcheck disable=SC2174 # what is above it, others may pass
[ -d "$parent" ] || mkdir -p -m 0750 "$parent" || exit 40
[ -d "$folder" ] || mkdir -m 0700 "$folder" || exit 40
demand_node "$folder"
[ -z "${owner:-}" ] || chown -h "$owner:$(id -g "$owner")" "$folder" || exit 43
if [ -f "$folder/$MARKER" ] && [ ! -L "$folder/$MARKER" ]; then cat "$folder/$MARKER"; fi
