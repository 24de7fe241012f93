# $1 tree, $2 data root, $3 service user; can be run any number of times.

. ./trust/trust.sh

tree=$1 data=$2 user=$3
umask 022
demand_folder "$tree"
demand_folder "$data" above
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
