# $1 folder, $2 boundary; as its owner.

. ./nodes/put.sh

rm -f "$folder"/.*.tmp
put "$MARKER"
put "$SERVER_CONF"
[ -e "$folder/$NODES_CONF" ] || put "$NODES_CONF"
[ -s "$folder/$NODES_CONF" ] || rm -f "$folder/$NODES_CONF"
