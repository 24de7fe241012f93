# $@: the nodes' folders.

. ./nodes/folder.sh

for one; do folder "$one"; done
above "$1"
echo "@room $(df -P -k "$top" | tail -n 1)"
if command -v ip >/dev/null 2>&1; then ip -o addr show | while read -r _ _ _ one _; do echo "@address ${one%%/*}"; done
else echo "@addresses unknown"; fi
if command -v ss >/dev/null 2>&1; then ss -ltnpH 2>/dev/null | while read -r line; do echo "@ss $line"; done
else for one in /proc/net/tcp /proc/net/tcp6; do
  [ -r "$one" ] && while read -r line; do echo "@proc $line"; done < "$one"
done; fi
echo "@end"
