# $1 folder, $2 boundary: put NAME writes a file of that folder from the input, up to the boundary, whole or not at all.

umask 077
durable() { dd if=/dev/null of="$1" conv=notrunc,fsync oflag=append 2>/dev/null || sync; }
put() {
  draft="$folder/.$1.$$.tmp"
  : > "$draft" || exit 40
  # shellcheck disable=SC2094 # it is removed where it could not be written
  while IFS= read -r line && [ "$line" != "$boundary" ]; do
    printf '%s\n' "$line" || { rm -f "$draft"; exit 41; }
  done > "$draft"
  [ "$line" = "$boundary" ] || { rm -f "$draft"; exit 42; }
  durable "$draft"
  mv -f "$draft" "$folder/$1" || exit 41
}
folder=$1 boundary=$2
