# $1 folder, $2 the server's program; as its owner. A link with that name makes it the tool (Valkey's answers
# to it, too), of the very version that wrote the file.

cd "$1" || exit 41
. ./disk/newest_manifest.sh

if [ -z "$log" ]; then
  log=$(sed -n 's/^ *appendfilename  *"\{0,1\}\([^"]*[^" ]\).*/\1/p' "$SERVER_CONF" 2>/dev/null | tail -n 1)
  [ -f "${log:=appendonly.aof}" ] || exit 48
fi
tool=.redis-check-aof.$$.tmp
ln -s "$2" "$tool" || exit 41
printf 'y\ny\n' | "./$tool" --fix "$log" 2>&1
status=$?
rm -f "$tool"
[ "$status" -eq 0 ] || exit 49
sync
