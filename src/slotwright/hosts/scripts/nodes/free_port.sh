# $@: ports to try; the first one that is free together with its bus port is printed.

taken=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
for port; do
  used=
  for one in "$port" "$((port + 10000))"; do
    case $taken in *":$(printf '%04X' "$one") "*) used=1;; esac
  done
  [ -n "$used" ] || { echo "$port"; exit 0; }
done
exit 1
