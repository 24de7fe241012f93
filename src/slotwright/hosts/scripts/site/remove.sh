# $1 tree, $2 data root: what is not a node's goes, and the folders that this leaves empty.

. ./trust/trust.sh

tree=$1 data=$2
demand_folder "$tree"
top=${tree%/*}
while [ -n "$top" ] && [ ! -e "$top" ]; do top=${top%/*}; done
[ ! -d "${top:-/}" ] || [ -x "${top:-/}" ] || exit 52
rm -rf "$tree/rehearsal" "$tree/.rehearsal"* && rm -f "$tree/engine" || exit 51
case $data in "$tree"/*) rmdir "$data" 2>/dev/null;; esac
for folder in "$tree" "${tree%/*}"; do [ ! -d "$folder" ] || rmdir "$folder" 2>/dev/null; done
exit 0
