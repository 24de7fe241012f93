# A folder of links to the host's own programs: $1 engine root, $2 the folder's name, $3 the server's path,
# $4 kind. Prints the version.

. ./engine/prelude.sh
. ./engine/briefly.sh

root=$1 name=$2 own=$3 kind=$4
. ./engine/work.sh
. ./engine/place.sh

mkdir -p "$work/new/bin" || exit 40
for program in server cli benchmark check-aof check-rdb; do
  real=${own%/*}/$kind-$program
  if [ -x "$real" ]; then ln -s "$real" "$work/new/bin/$kind-$program" || exit 40; fi
done
said=$(briefly "$work/new/bin/$kind-server" --version 2>&1) || fail 43 "$said"
[ "$(readlink "$root/$name/bin/$kind-server" 2>/dev/null)" = "$own" ] || place "$work/new" "$root/$name" || exit 40
printf '%s\n' "$said"
