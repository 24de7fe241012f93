# $1 folder, $2 the server's program, $3 whether it runs; as the folder's owner. Nothing is changed.

cd "$1" || exit 41
. ./disk/newest_manifest.sh

last=
if [ -n "$log" ]; then
  echo "@manifest"
  sed 's/^/|/' "$log"
  last=$(sed -n 's/^file \([^" ]*\) seq \([0-9]*\) type i.*/\2 \1/p' "$log" | sort -n | tail -n 1)
  last=${log%/*}/${last#* }
  parts="${log%/*}/*"
else
  log=$(sed -n 's/^ *appendfilename  *"\{0,1\}\([^"]*[^" ]\).*/\1/p' "$SERVER_CONF" 2>/dev/null | tail -n 1)
  if [ ! -f "${log:=appendonly.aof}" ]; then echo "@end"; exit 0; fi
  last=$log parts=$log
  echo "@file"
fi
echo "@now $(date +%s)"
for one in $parts; do
  [ -f "$one" ] && echo "@part $(stat -c %Y "$one") ${one##*/}"
done
if [ "$3" = rests ] && [ -s "$last" ]; then
  tool=.redis-check-aof.$$.tmp
  ln -s "$2" "$tool" || exit 41
  "./$tool" "$last" >/dev/null 2>&1
  echo "@tool $?"
  rm -f "$tool"
fi
echo "@end"
