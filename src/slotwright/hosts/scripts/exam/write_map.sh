# $1 folder, $2 boundary; as its owner.

. ./nodes/put.sh

rm -f "$folder"/.*.tmp
put .next.tmp
map="$folder/$NODES_CONF" next="$folder/.next.tmp"
if [ -f "$map" ]; then
  if [ "$(cat "$map" 2>/dev/null)" = "$(cat "$next")" ] 2>/dev/null; then rm -f "$next"; exit 0; fi
  cp "$map" "$folder/.broken.tmp" && durable "$folder/.broken.tmp" || exit 41
  mv -f "$folder/.broken.tmp" "$folder/$MAP_ASIDE" || exit 41
fi
mv -f "$next" "$map" || exit 41
