# Sets log, the newest manifest of an append-only file below the working folder; "" where there is none.

log=
for one in */*.manifest; do
  case $one in "$ASIDE"*) continue;; esac
  [ -f "$one" ] || continue
  if [ -z "$log" ] || [ -n "$(find "$one" -newer "$log")" ]; then log=$one; fi
done
