# $1 folder, $2 cluster id. The marker goes last.

absent=0
. ./nodes/ours.sh
. ./nodes/idle.sh

find "$folder" -mindepth 1 -maxdepth 1 ! -name "$MARKER" -exec rm -rf {} + || exit 41
rm -rf "$folder" || exit 41
rmdir "${folder%/*}" 2>/dev/null
exit 0
