"""POSIX shell scripts about slotwright's own things on a host, and what their output says."""

from __future__ import annotations

from slotwright.model.site import Site

READ_SITE = """
tree=$1 data=$2 user=$3 unit=$4
echo "@site"
id "$user" >/dev/null 2>&1 && echo "@user"
[ -d /run/systemd/system ] && echo "@systemd"
[ -L "$tree/engine" ] && echo "@link $(readlink "$tree/engine")"
[ -f "/etc/systemd/system/$unit" ] && echo "@unit $(sha256sum < "/etc/systemd/system/$unit" | cut -d ' ' -f 1)"
for one in /etc/systemd/system/*.wants/"${unit%.service}"*.service; do
  [ -L "$one" ] && { one=${one##*@}; echo "@enabled ${one%.service}"; }
done
[ -d "$data" ] && [ -d "$tree" ] && echo "@rooms"
echo "@end"
"""
"""``$1`` tree, ``$2`` data root, ``$3`` service user, ``$4`` the unit's file name."""

MAKE_SITE = """
tree=$1 data=$2 user=$3
umask 022
if [ "$(id -u)" = 0 ]; then
  if ! id "$user" >/dev/null 2>&1; then
    nologin=/usr/sbin/nologin; [ -x "$nologin" ] || nologin=/sbin/nologin; [ -x "$nologin" ] || nologin=/bin/false
    if command -v useradd >/dev/null 2>&1; then
      useradd --system --user-group --no-create-home --home-dir /var/lib/slotwright --shell "$nologin" "$user"
    else
      addgroup -S "$user" 2>/dev/null
      adduser -S -D -H -h /var/lib/slotwright -s "$nologin" -G "$user" "$user"
    fi || exit 50
  fi
fi
# Root's own, and open to the service's group: nobody else makes folders there. What was there before stays as it is.
for folder in "$tree" "$data"; do
  [ -d "$folder" ] && continue
  mkdir -p "$folder" && chmod 0750 "$folder" || exit 51
  [ "$(id -u)" != 0 ] || chgrp "$(id -g "$user")" "$folder" || exit 51
done
! command -v restorecon >/dev/null 2>&1 || restorecon -R "$tree" "$data" 2>/dev/null
exit 0
"""
"""``$1`` tree, ``$2`` data root, ``$3`` service user; can be run any number of times."""

REMOVE_SITE = """
tree=$1 data=$2
top=${tree%/*}
while [ -n "$top" ] && [ ! -e "$top" ]; do top=${top%/*}; done
[ ! -d "${top:-/}" ] || [ -x "${top:-/}" ] || exit 52
rm -rf "$tree/rehearsal" "$tree/.rehearsal"* && rm -f "$tree/engine" || exit 51
case $data in "$tree"/*) rmdir "$data" 2>/dev/null;; esac
for folder in "$tree" "${tree%/*}"; do [ ! -d "$folder" ] || rmdir "$folder" 2>/dev/null; done
exit 0
"""
"""``$1`` tree, ``$2`` data root: what is not a node's goes, and the folders that this leaves empty."""

EXIT_TEXTS = {
    50: "the service user can't be made",
    51: "a folder can't be made or removed",
    52: "this login may not look into its folders",
}


def parse_site(text: str, host: str) -> Site:
    """The output of :data:`READ_SITE`. Raises ValueError for a cut one."""
    lines = [line.partition(" ") for line in text.splitlines() if line.startswith("@")]
    if not lines or lines[0][0] != "@site" or lines[-1][0] != "@end":
        raise ValueError("the output ends too early")
    words = {word: value for word, _, value in lines}
    return Site(
        host,
        has_user="@user" in words,
        has_systemd="@systemd" in words,
        link=words.get("@link", ""),
        unit_digest=words.get("@unit", ""),
        enabled=frozenset(value for word, _, value in lines if word == "@enabled"),
        rooms="@rooms" in words,
    )
