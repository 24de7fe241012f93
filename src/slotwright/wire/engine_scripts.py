"""The scripts that look at, install and build engines on a host, and the reading of what they print.

POSIX sh with coreutils or busybox. Each can be cut anywhere and run again: what is made is made in a folder with the
script's pid in its name, and moved into place as a whole; such folders of dead scripts are removed by the next one.
"""

from __future__ import annotations

import re

from slotwright.model.engine import EngineHost, KeptEngine, OwnServer, PackageTool
from slotwright.model.topology import EngineKind
from slotwright.wire.flavor import parse_version_output
from slotwright.wire.packages import parse_offers

CANT_WRITE, NO_CHECKSUM_TOOL, WRONG_CHECKSUM, UNUSABLE, BUILD_FAILED, PACKAGE_FAILED = 40, 41, 42, 43, 44, 45
"""What a script ends with, beside 0."""

_PRELUDE = r"""
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
"""

# The folder's files against its SHA256SUMS ("hash  bin/name").
_WHOLE = r"""
whole() {
  [ -s "$1/SHA256SUMS" ] || return 1
  while read -r sum file; do [ "$(digest "$1/$file")" = "$sum" ] || return 1; done < "$1/SHA256SUMS"
}
"""

# What runs for at most 10 s, where the host can see to that.
_BRIEFLY = r"""
briefly() { if has timeout; then timeout 10 "$@"; else "$@"; fi }
"""

LOOK = (
    _PRELUDE
    + _WHOLE
    + _BRIEFLY
    + r"""
root=$1 kind=$2 origin=$3 directory=$4 services=$5
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
"""
)
"""Read everything that decides: ``$1`` engine root, ``$2`` kind, ``$3`` origin, ``$4`` folder of DIRECTORY, ``$5`` the
services' names with spaces, then ``manager:package`` pairs. Changes nothing."""

# A folder to work in that is ours and new; those of scripts that are dead go away.
_WORK = r"""
fail() { code=$1; shift; printf '%s\n' "$*" >&2; exit "$code"; }
mkdir -p "$root" || fail 40 "can't make $root"
for stale in "$root"/.work-*; do
  [ -e "$stale" ] && ! kill -0 "${stale##*-}" 2>/dev/null && rm -rf "$stale"
done
work=$root/.work-$$
trap 'rm -rf "$work"' EXIT
trap 'exit 143' HUP INT TERM PIPE
rm -rf "$work"
mkdir "$work" || fail 40 "can't make $work"
"""

# Puts the finished folder $1 in the place $2. What stood there is moved aside first: a running server keeps its file.
_PLACE = r"""
place() {
  if [ "$(id -u)" = 0 ]; then chown -R 0:0 "$1" || return 1; fi
  # As the policy has it for what is below a bin folder in /opt; the label is right before the folder is in place.
  if has selinuxenabled && selinuxenabled; then chcon -R -t bin_t "$1/bin" >/dev/null 2>&1; fi
  if [ -e "$2" ]; then mv "$2" "$work/old" || return 1; fi
  mv "$1" "$2" || return 1
  if has restorecon; then restorecon -RF "$2" >/dev/null 2>&1; fi
  return 0
}
"""

INSTALL = (
    _PRELUDE
    + _WHOLE
    + _BRIEFLY
    + r"""
root=$1 name=$2 sum=$3 packed=$4
shift 4
"""
    + _WORK
    + _PLACE
    + r"""
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
"""
)
"""Install files: ``$1`` engine root, ``$2`` the folder's name, ``$3`` SHA-256 of the files one after the other, ``$4``
"gzip" or "plain", then name and size of each, the server first. The files are on stdin. Prints the version."""

MAKE_LINKS = (
    _PRELUDE
    + _BRIEFLY
    + r"""
root=$1 name=$2 own=$3 kind=$4
"""
    + _WORK
    + _PLACE
    + r"""
mkdir -p "$work/new/bin" || exit 40
for program in server cli benchmark check-aof check-rdb; do
  real=${own%/*}/$kind-$program
  if [ -x "$real" ]; then ln -s "$real" "$work/new/bin/$kind-$program" || exit 40; fi
done
said=$(briefly "$work/new/bin/$kind-server" --version 2>&1) || fail 43 "$said"
[ "$(readlink "$root/$name/bin/$kind-server" 2>/dev/null)" = "$own" ] || place "$work/new" "$root/$name" || exit 40
printf '%s\n' "$said"
"""
)
"""A folder of links to the host's own programs: ``$1`` engine root, ``$2`` the folder's name, ``$3`` the server's path,
``$4`` kind. Prints the version."""

USE = (
    _PRELUDE
    + r"""
tree=$1 folder=$2
mkdir -p "$tree" || exit 40
[ "$(readlink "$tree/engine" 2>/dev/null)" = "$folder" ] && exit 0
rm -f "$tree/.engine.new"
ln -s "$folder" "$tree/.engine.new" || exit 40
mv -T "$tree/.engine.new" "$tree/engine" 2>/dev/null && exit 0
# An mv without -T would move the new link into the folder that the old one leads to.
rm -f "$tree/engine" && mv "$tree/.engine.new" "$tree/engine" || exit 40
"""
)
"""Point ``$1``/engine to the folder ``$2``, at once where ``mv`` can."""

BUILD = (
    _PRELUDE
    + r"""
root=$1 kind=$2 sum=$3 options=$4 packed=$5 tls=$6
"""
    + _WORK
    + r"""
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
"""
)
"""Build a source tarball: ``$1`` engine root, ``$2`` kind, ``$3`` SHA-256 of the archive as the user has it (names the
log), ``$4`` options for jemalloc's configure, ``$5`` SHA-256 of stdin (a gzipped tar), ``$6`` "yes" where TLS is
welcome. Prints names and sizes, the SHA-256 of the files one after the other, and these gzipped, in base64.

libsystemd is left out: a server linked to it would not start on a host without. TLS is built in where its headers
are."""

INSTALL_PACKAGE = (
    _PRELUDE
    + r"""
root=$1 manager=$2 package=$3 services=$4
fail() { code=$1; shift; printf '%s\n' "$*" >&2; exit "$code"; }
mkdir -p "$root" || fail 40 "can't make $root"
mark=$root/.installing-$package
log=$root/.install-$package.log
# An installation is not ended half-way because somebody hung up.
trap '' HUP PIPE
systemd=
[ -d /run/systemd/system ] && systemd=yes
policy=/usr/sbin/policy-rc.d
unmask() { [ "$(readlink "/etc/systemd/system/$1.service")" = /dev/null ] && systemctl unmask "$1.service"; }
is_ours() { grep -q 'slotwright installs' "$policy" 2>/dev/null; }
shield() {
  # Debian starts a service as its package is installed, and would take port 6379. With systemd: its unit is masked
  # first, which outlives a cut and a reboot, and the mark says that it was us. Without: a policy that forbids the start
  # for as long as this very script lives. What is there already, mask or policy, is left as it is.
  if [ ! -e "$mark" ]; then
    masked=''
    if [ -n "$systemd" ]; then
      for unit in $services; do
        [ -z "$(systemctl list-unit-files --no-legend "$unit.service" 2>/dev/null)" ] && masked="$masked $unit"
      done
    fi
    printf '%s\n' "$masked" > "$mark.new" && mv "$mark.new" "$mark" || fail 40 "can't write $mark"
  fi
  read -r masked < "$mark"
  for unit in $masked; do systemctl mask "$unit.service" >/dev/null 2>&1; done
  if [ -z "$systemd" ] && { [ ! -e "$policy" ] || is_ours; }; then
    {
      printf '#!/bin/sh\n# slotwright installs %s: without effect once that is over\n' "$package"
      printf 'kill -0 %s 2>/dev/null || exit 0\n' "$$"
      echo 'case $1 in redis*|valkey*) exit 101 ;; esac'
    } > "$policy.new" && chmod 755 "$policy.new" && mv "$policy.new" "$policy"
  fi
}
unshield() {
  if [ -e "$mark" ]; then
    read -r masked < "$mark"
    for unit in $masked; do
      systemctl disable "$unit.service"
      unmask "$unit"
      systemctl disable "$unit.service"
    done >/dev/null 2>&1
    if [ -z "$systemd" ] && has update-rc.d; then
      for unit in $services; do [ -e "/etc/init.d/$unit" ] && update-rc.d "$unit" disable >/dev/null 2>&1; done
    fi
  fi
  is_ours && rm -f "$policy"
  rm -f "$mark"
}
apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold \
    --no-install-recommends "$@" </dev/null >> "$log" 2>&1
}
: > "$log"
case $manager in
  apt)
    was_cut=
    [ -e "$mark" ] && was_cut=yes
    shield
    [ -n "$was_cut" ] && DEBIAN_FRONTEND=noninteractive dpkg --configure -a --force-confold </dev/null >> "$log" 2>&1
    apt install "$package" || { apt update && apt install "$package"; }
    status=$?
    unshield ;;
  dnf|yum)
    "$manager" -y install "$package" </dev/null >> "$log" 2>&1
    status=$? ;;
  zypper)
    zypper --non-interactive install --no-recommends "$package" </dev/null >> "$log" 2>&1
    status=$? ;;
  *) fail 45 "there is no package manager that is known" ;;
esac
[ "$status" = 0 ] || { tail -n 15 "$log" >&2; exit 45; }
rm -f "$log"
"""
)
"""Install a package, and don't let its own service start: ``$1`` engine root, ``$2`` manager, ``$3`` package, ``$4``
the services' names with spaces. A service that was there before is left alone."""

FIND_OWN = (
    _PRELUDE
    + r"""
if [ -x "/usr/bin/$1-server" ]; then echo "/usr/bin/$1-server"; else command -v "$1-server"; fi
"""
)
"""The path of the host's own server of the kind ``$1``."""

_MACHINES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "armv8l": "aarch64"}


def machine_name(text: str) -> str:
    """One spelling an architecture: ``arm64`` is ``aarch64``, ``amd64`` is ``x86_64``."""
    return _MACHINES.get(text.strip().lower(), text.strip().lower())


def parse_look(host: str, root: str, kind: EngineKind, text: str) -> EngineHost:
    """What :data:`LOOK` printed. Raises ValueError where it was cut short."""
    plain, _, packages = text.partition("\npackages\n")
    pairs = [(key, value) for key, tab, value in (line.partition("\t") for line in plain.splitlines()) if tab]
    one = dict(pairs)
    if "machine" not in one or "manager" not in one:
        raise ValueError("the script did not get to its end")
    libc, _, libc_version = one.get("libc", "").partition(" ")
    tool = PackageTool(one["manager"])
    own = None
    if "own" in one:
        said = one.get("own_version", "")
        version = parse_version_output(said)
        own = OwnServer(one["own"], version, "" if version else said.strip())
    return EngineHost(
        host=host,
        root=root,
        is_root=one.get("uid") == "0",
        machine=machine_name(one["machine"]),
        libc=libc,
        libc_version=tuple(int(part) for part in re.findall(r"\d+", libc_version)[:3]),
        page_bytes=int(one.get("page") or 4096),
        package_tool=tool,
        tools=frozenset(value for key, value in pairs if key == "tool"),
        kept=tuple(_kept(value) for key, value in pairs if key == "kept"),
        own=own,
        offers=parse_offers(tool, kind, packages),
        active_services=tuple(value for key, value in pairs if key == "active"),
        half_installed=tuple(value for key, value in pairs if key == "half"),
    )


def _kept(text: str) -> KeptEngine:
    name, state, leads_to, said = [*text.split("\t"), "", "", ""][:4]
    return KeptEngine(name, state == "whole", parse_version_output(said), leads_to)
