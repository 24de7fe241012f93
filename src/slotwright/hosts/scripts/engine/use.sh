# Point $1/engine to the folder $2, at once where mv can.

. ./engine/prelude.sh

tree=$1 folder=$2
mkdir -p "$tree" || exit 40
[ "$(readlink "$tree/engine" 2>/dev/null)" = "$folder" ] && exit 0
rm -f "$tree/.engine.new"
ln -s "$folder" "$tree/.engine.new" || exit 40
mv -T "$tree/.engine.new" "$tree/engine" 2>/dev/null && exit 0
# An mv without -T would move the new link into the folder that the old one leads to.
rm -f "$tree/engine" && mv "$tree/.engine.new" "$tree/engine" || exit 40
