# $1 folder, $2 how many bytes.

[ -e "$1/$SERVER_LOG" ] || exit 0
tail -c "$2" "$1/$SERVER_LOG"
