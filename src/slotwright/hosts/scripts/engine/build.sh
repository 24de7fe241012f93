# Build a source tarball: $1 engine root, $2 kind, $3 SHA-256 of the archive as the user has it (names the
# log), $4 options for jemalloc's configure, $5 SHA-256 of stdin (a gzipped tar), $6 "yes" where TLS is
# welcome. Prints names and sizes, the SHA-256 of the files one after the other, and these gzipped, in base64.
#
# libsystemd is left out: a server linked to it would not start on a host without. TLS is built in where its headers
# are.

. ./engine/prelude.sh

root=$1 kind=$2 sum=$3 options=$4 packed=$5 tls=$6
. ./engine/work.sh

log=$root/build-$kind-$(printf %s "$sum" | cut -c1-12).log
cat > "$work/source" || exit 40
seen=$(digest "$work/source")
[ -n "$seen" ] || fail 41 "there is neither sha256sum nor shasum, openssl or busybox"
[ "$seen" = "$packed" ] || fail 42 "SHA-256 is $seen, not $packed"
mkdir "$work/tree" || exit 40
gzip -dc "$work/source" | (cd "$work/tree" && tar -xf -) || exit 40
rm -f "$work/source"
src=
for place in "$work/tree/src" "$work/tree"/*/src; do [ -f "$place/Makefile" ] && src=$place; done
[ -n "$src" ] || fail 44 "there is no src/Makefile in it"
printf '#include <openssl/ssl.h>\n' | cc -E - >/dev/null 2>&1 || tls=no
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
{
  echo "make -j$jobs BUILD_TLS=$tls USE_SYSTEMD=no JEMALLOC_CONFIGURE_OPTS=$options"
  # No leftovers of the packer's own build, and no surprise from the login's environment.
  cd "$src" && unset CFLAGS LDFLAGS MAKEFLAGS && JEMALLOC_CONFIGURE_OPTS=$options nice make "-j$jobs" \
    "BUILD_TLS=$tls" USE_SYSTEMD=no "$kind-server" "$kind-cli"
} > "$log" 2>&1 || { tail -n 15 "$log" >&2; exit 44; }
said=$("$src/$kind-server" --version 2>&1) || { printf '%s\n' "$said" | tee -a "$log" >&2; exit 44; }
has strip && strip -g "$src/$kind-server" "$src/$kind-cli" 2>/dev/null
cat "$src/$kind-server" "$src/$kind-cli" > "$work/all" || exit 40
size() { wc -c < "$1" | tr -d ' '; }
echo "$kind-server $(size "$src/$kind-server") $kind-cli $(size "$src/$kind-cli")"
digest "$work/all"
gzip -c "$work/all" | base64 || exit 40
rm -f "$log"
