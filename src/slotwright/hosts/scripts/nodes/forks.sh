# Prints how many forked copies of servers work now, of whatever cluster: each saves, rewrites, or sends a copy. In the
# kernel a copy has its parent's name, whatever it calls itself.

servers=' ' parents=
for stat in /proc/[0-9]*/stat; do
  { IFS= read -r line <"$stat"; } 2>/dev/null || continue
  case $line in *'(redis-server'* | *'(valkey-server'*) ;; *) continue ;; esac
  # shellcheck disable=SC2086 # its words are meant
  set -- ${line##*) }
  case $1 in Z | X) continue ;; esac
  servers="$servers${line%% *} " parents="$parents $2"
done
forks=0
for parent in $parents; do
  case $servers in *" $parent "*) forks=$((forks + 1)) ;; esac
done
echo "$forks"
