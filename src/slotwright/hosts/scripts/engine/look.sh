# Read everything that decides: $1 engine root, $2 kind, $3 origin, $4 folder of DIRECTORY, $5 the
# services' names with spaces, then manager:package pairs. Changes nothing, and runs no program that others could have
# written.

. ./engine/prelude.sh
. ./trust/trust.sh
. ./engine/whole.sh
. ./engine/briefly.sh

root=$1 kind=$2 origin=$3 directory=$4 services=$5
demand_folder "$root"
say() { printf '%s\t%s\n' "$1" "$2"; }
one_line() { tr '\n\t' '  ' | cut -c1-300; }
say uid "$(id -u)"
say machine "$(uname -m)"
say page "$(getconf PAGESIZE 2>/dev/null || getconf PAGE_SIZE 2>/dev/null)"
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null)
if [ -z "$libc" ]; then
  for loader in /lib/ld-musl-*; do
    [ -e "$loader" ] && libc="musl $("$loader" 2>&1 | sed -n 's/^Version //p')"
  done
fi
say libc "$libc"
for tool in make cc tar gzip base64; do has "$tool" && say tool "$tool"; done
for library in /usr/lib/libssl.so.[0-9]* /usr/lib64/libssl.so.[0-9]* /usr/lib/*/libssl.so.[0-9]*; do
  [ -e "$library" ] && say tool "${library##*/}"
done
manager=
for tool in apt-get dnf yum zypper; do has "$tool" && { manager=${tool%-get}; break; }; done
say manager "$manager"
for folder in "$root/$kind-"*; do
  server=$folder/bin/$kind-server
  [ -d "$folder" ] || continue
  state=broken leads=
  if [ -h "$server" ]; then
    leads=$(readlink "$server")
    [ -x "$server" ] && state=whole
  elif whole "$folder"; then state=whole; fi
  say kept "${folder##*/}	$state	$leads	$([ "$state" = whole ] && briefly "$server" --version 2>&1 | one_line)"
done
for mark in "$root"/.installing-*; do [ -e "$mark" ] && say half "${mark##*/.installing-}"; done
own='' said=''
case $origin in
  directory) own=$directory/$kind-server; [ -e "$own" ] || own= ;;
  path) own=$(command -v "$kind-server") ;;
  package) own=/usr/bin/$kind-server; [ -x "$own" ] || own=$(command -v "$kind-server") ;;
esac
if [ -n "$own" ]; then
  say own "$own"
  demand_program "$own"
  said=$(briefly "$own" --version 2>&1 | one_line)
  say own_version "$said"
fi
if [ -d /run/systemd/system ]; then
  for unit in $services; do systemctl is-active --quiet "$unit.service" && say active "$unit"; done
fi
[ "$origin" = package ] || exit 0
shift 5
patiently() { if has timeout; then timeout 100 "$@"; else "$@"; fi 2>/dev/null; }
names=
for pair in "$@"; do case $pair in "$manager":*) names="$names ${pair#*:}" ;; esac; done
echo packages
# What is installed and new enough is enough to know: asking for what is offered takes a second and more.
enough() {
  printf '%s\n' "$1"
  case $1 in *installed\ *) case $said in *v=[0-5].*|*v=6.[01].*|'') return 1 ;; *) return 0 ;; esac ;; esac
  return 1
}
# shellcheck disable=SC2086
case $manager in
  apt)
    have=$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\n' $names 2>/dev/null | grep '^installed ')
    enough "$have" || apt-cache policy $names ;;
  dnf|yum)
    enough "$(rpm -q --qf 'installed %{NAME} %{VERSION}\n' $names | grep '^installed ')" && exit 0
    table=$(patiently "$manager" -q -C list available $names)
    [ -n "$table" ] || table=$(patiently "$manager" -q list available $names)
    printf '%s\n' "$table" ;;
  zypper) patiently zypper --non-interactive --no-refresh info $names ;;
esac
exit 0
