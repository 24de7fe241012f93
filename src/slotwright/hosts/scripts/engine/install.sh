# Install files: $1 engine root, $2 the folder's name, $3 SHA-256 of the files one after the other, $4
# "gzip" or "plain", then name and size of each, the server first. The files are on stdin. Prints the version.

. ./engine/prelude.sh
. ./engine/whole.sh
. ./engine/briefly.sh

root=$1 name=$2 sum=$3 packed=$4
shift 4
. ./engine/work.sh
. ./engine/place.sh

mkdir -p "$work/new/bin" || exit 40
if [ "$packed" = gzip ]; then gzip -dc > "$work/all" || fail 42 "the data is not whole"
else cat > "$work/all" || exit 40; fi
seen=$(digest "$work/all")
[ -n "$seen" ] || fail 41 "there is neither sha256sum nor shasum, openssl or busybox"
[ "$seen" = "$sum" ] || fail 42 "SHA-256 is $seen, not $sum"
first='' from=1
while [ $# -ge 2 ]; do
  tail -c "+$from" "$work/all" | head -c "$2" > "$work/new/bin/$1" || exit 40
  chmod 755 "$work/new/bin/$1" || exit 40
  echo "$(digest "$work/new/bin/$1")  bin/$1" >> "$work/new/SHA256SUMS" || exit 40
  first=${first:-$1}
  from=$((from + $2))
  shift 2
done
said=$(briefly "$work/new/bin/$first" --version 2>&1) || fail 43 "$said"
# The server does the checkers' work when it is called by their names (server.c, main).
for program in check-aof check-rdb; do ln -s "$first" "$work/new/bin/${first%-server}-$program" || exit 40; done
sync "$work/new/bin"/* "$work/new/SHA256SUMS" 2>/dev/null || sync
[ -d "$root/$name" ] && whole "$root/$name" || place "$work/new" "$root/$name" || exit 40
printf '%s\n' "$said"
