# For each folder: its process and that one's start, "-" for none.

. ./supervisors/identify.sh
. ./supervisors/by_note.sh

by_pid_file() {
    read -r noted 2>/dev/null <"$1/server.pid" || return 1
    case $noted in '' | *[!0-9]*) return 1 ;; esac
    [ -z "$(misfit "$noted" "$1")" ] && started_at "$noted"
}
for folder in "$@"; do
    if by_note "$folder" || by_pid_file "$folder"; then printf '%s\n' "$pid $started"; else echo -; fi
done
