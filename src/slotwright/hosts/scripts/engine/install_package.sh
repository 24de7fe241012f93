# Install a package, and don't let its own service start: $1 engine root, $2 manager, $3 package, $4
# the services' names with spaces. A service that was there before is left alone.

. ./engine/prelude.sh

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
    { printf '%s\n' "$masked" > "$mark.new" && mv "$mark.new" "$mark"; } || fail 40 "can't write $mark"
  fi
  read -r masked < "$mark"
  for unit in $masked; do systemctl mask "$unit.service" >/dev/null 2>&1; done
  if [ -z "$systemd" ] && { [ ! -e "$policy" ] || is_ours; }; then
    {
      printf '#!/bin/sh\n# slotwright installs %s: without effect once that is over\n' "$package"
      printf 'kill -0 %s 2>/dev/null || exit 0\n' "$$"
      # shellcheck disable=SC2016 # for the policy's own shell
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
