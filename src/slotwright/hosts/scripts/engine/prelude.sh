# What every script about engines begins with.

set -u
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH
umask 022
has() { command -v "$1" >/dev/null 2>&1; }
digest() {
  if has sha256sum; then sha256sum < "$1"; elif has shasum; then shasum -a 256 < "$1"
  elif has openssl; then openssl dgst -sha256 -r < "$1"; elif has busybox; then busybox sha256sum < "$1"
  else return 1; fi | cut -c1-64
}
