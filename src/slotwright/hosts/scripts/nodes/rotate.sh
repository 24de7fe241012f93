# $1 folder, $2 the limit in bytes, $3 how many are kept; as its owner.

. ./nodes/rotate_log.sh

rotate_log "$1/$SERVER_LOG" "$2" "$3"
