# $1 folder; as its owner.

cd "$1" || exit 41
number=1
while [ -e "$ASIDE$number" ]; do number=$((number + 1)); done
goal=
for one in * .[!.]*; do
  [ -e "$one" ] || [ -L "$one" ] || continue
  case $one in
    "$SERVER_CONF"* | "$SERVER_LOG"* | "$PID_FILE"* | "$PROCESS"*) continue;;
    "$MARKER"* | "$NODES_CONF"* | "$ASIDE"* | .*.tmp) continue;;
  esac
  [ -n "$goal" ] || { goal=$ASIDE$number; mkdir -m 0700 "$goal" || exit 40; }
  mv "./$one" "$goal/" || exit 41
done
[ -n "$goal" ] || exit 0
sync
printf '%s\n' "$1/$goal"
