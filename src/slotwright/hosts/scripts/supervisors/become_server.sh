# $1 a node's folder, then what becomes its server. Run as the service user: root would follow links there that this
# user may make. A process keeps its start when it becomes the server, so it can be noted before.

. ./supervisors/identify.sh
. ./nodes/rotate_log.sh

cd "$1" || exit 1
shift
umask 077
rotate_log "$PWD/$SERVER_LOG" "$LOG_LIMIT_BYTES" "$LOGS_KEPT"
started_at $$ || exit 1
printf '{"format": %s, "slotwright": "%s", "pid": %s, "started": "%s"}\n' \
    "$PROCESS_FORMAT" "$SLOTWRIGHT" "$$" "$started" >.process.json.tmp || exit 1
mv -f .process.json.tmp process.json || exit 1
exec "$@" >>"$SERVER_LOG" 2>&1 </dev/null
