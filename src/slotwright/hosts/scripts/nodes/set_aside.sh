# $1 folder, $2 cluster id, $3 destination.

absent=0
. ./nodes/ours.sh
. ./nodes/idle.sh

for one in "$SERVER_CONF" "$SERVER_LOG" "$PID_FILE" "$PROCESS"; do rm -f "$folder/$one" "$folder/$one".*; done
rm -f "$folder"/.*.tmp
demand_folder "${3%/*}" above
# shellcheck disable=SC2174 # what is above it, others may pass
(umask 022; mkdir -p -m 0700 "${3%/*}") && mv "$folder" "$3" || exit 41
# A rebuild reads the data again as the service user, who must be able to come to its own folder.
if [ "$(id -u)" = 0 ] && group=$(stat -c %g "$3" 2>/dev/null) && [ "$group" != 0 ]; then
  chgrp "$group" "${3%/*}" && chmod 0710 "${3%/*}" || exit 43
fi
rmdir "${folder%/*}" 2>/dev/null
exit 0
