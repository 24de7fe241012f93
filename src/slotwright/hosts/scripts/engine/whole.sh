# The folder's files against its SHA256SUMS ("hash  bin/name").

whole() {
  [ -s "$1/SHA256SUMS" ] || return 1
  while read -r sum file; do [ "$(digest "$1/$file")" = "$sum" ] || return 1; done < "$1/SHA256SUMS"
}
