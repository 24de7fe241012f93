# PATH: sets top, the nearest folder above it that exists, or the path itself.

above() {
  top=$1
  while [ ! -e "$top" ]; do top=${top%/*}; [ -n "$top" ] || top=/; done
}
