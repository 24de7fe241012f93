# Processes by the note of their start that a node's folder has.

. ./supervisors/identify.sh
. ./trust/claims.sh

noted_by() {
    noted=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$1/process.json" 2>/dev/null)
    since=$(sed -n 's/.*"started": *"\([^"]*\)".*/\1/p' "$1/process.json" 2>/dev/null)
    [ -n "$noted" ] && is_process "$noted" "$since"
}
by_note() { noted_by "$1" && [ -z "$(misfit "$noted" "$1")" ]; }
