# $1 cluster id, then the nodes' folders, --, and the nodes' units, where a service manager runs them.

. ./nodes/process_in.sh
. ./nodes/above.sh

text() { { cat; echo; } | tr '\000' '\001' | sed 's/^/|/'; }
examine() {
  printf '@node %s\n' "$1"
  above "$1"
  found=$(distrust_node "$1")
  if [ -n "$found" ]; then echo "@unsafe $found"; return 0; fi
  found=$(unknown_format "$1")
  if [ -n "$found" ]; then echo "@newer $found"; return 0; fi
  if [ "$top" != "$1" ]; then
    if [ -d "$top" ] && [ ! -x "$top" ]; then echo "@blocked"; else echo "@absent"; fi
    return 0
  fi
  if ! entries=$(ls -A "$1" 2>/dev/null); then echo "@blocked"; return 0; fi
  entries=$(printf '%s\n' "$entries" | grep -v '^\..*\.tmp$')
  [ -n "$entries" ] || { echo "@empty"; return 0; }
  if [ -e "$1/$MARKER" ] && [ ! -r "$1/$MARKER" ]; then echo "@blocked"; return 0; fi
  plain_file "$1/$MARKER" || return 0
  echo "@marker $(tr -d '\n' < "$1/$MARKER")"
  grep -q "\"cluster_id\": *\"$cluster\"" "$1/$MARKER" 2>/dev/null || return 0
  if process_in "$1"; then
    echo "@process $pid $boot:$ticks"
    echo "@state $letter"
    while read -r one two three soft _; do
      [ "$one $two $three" = "Max open files" ] && echo "@nofile $soft"
    done 2>/dev/null < "/proc/$pid/limits"
  elif [ -n "$unfit" ]; then
    echo "@misfit $unfit"
    return 0
  elif plain_file "$1/$NODES_CONF"; then
    echo "@map"
    head -c "$MAP_BYTES" "$1/$NODES_CONF" | text
  fi
  plain_file "$1/$SERVER_LOG" && { echo "@log"; tail -c "$LOG_BYTES" "$1/$SERVER_LOG" | text; }
  find "$1" -type d -name "$ASIDE*" -prune -o -type f ! -name "$SERVER_CONF*" ! -name "$SERVER_LOG*" \
    ! -name "$PID_FILE*" ! -name "$PROCESS*" ! -name "$MARKER*" ! -name "$NODES_CONF*" \
    -exec ls -lnd {} + 2>/dev/null | {
    total=0
    while read -r mode _ _ _ size _; do case $mode in -*) total=$((total + size));; esac; done
    echo "@data $total"
  }
  return 0
}
cluster=$1
shift
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  examine "$1"
  echo "@room $(df -P -k "$top" 2>/dev/null | tail -n 1)"
  shift
done
echo "@host"
while read -r name size _; do
  case $name in MemTotal:) echo "@memory $size"; break;; esac
done 2>/dev/null < /proc/meminfo
shift
[ $# -eq 0 ] || systemctl show -p Id -p Result "$@" 2>/dev/null | sed 's/^/@unit /'
echo "@end"
