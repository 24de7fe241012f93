# LOG LIMIT KEPT: moves a log of that many bytes or more aside, and keeps so many of those.

rotate_log() {
    [ -f "$1" ] && [ "$(wc -c <"$1")" -ge "$2" ] || return 0
    number=$3
    while [ "$number" -gt 1 ]; do
        [ ! -e "$1.$((number - 1))" ] || mv -f "$1.$((number - 1))" "$1.$number"
        number=$((number - 1))
    done
    mv -f "$1" "$1.1"
}
