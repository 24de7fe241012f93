# Whether a later release wrote what a node's folder is known by, in a format that this one doesn't know. Without any
# process of its own: every look at a node asks it.

# FOLDER: prints file, number and writer of the first such file, "-" for what can't be told; run it in a subshell
unknown_format() {
    unknown_in "$1" "$MARKER" "$MARKER_FORMAT" || unknown_in "$1" "$PROCESS" "$PROCESS_FORMAT" || :
}

# FOLDER FILE KNOWN: a file without a number has the first format; one inside of another object counts as well
unknown_in() {
    [ -f "$1/$2" ] && [ ! -L "$1/$2" ] && [ -r "$1/$2" ] || return 1
    text=
    while IFS= read -r line || [ -n "$line" ]; do text="$text$line "; done <"$1/$2"
    rest=$text
    while :; do
        case $rest in *'"format":'*) rest=${rest#*'"format":'} ;; *) return 1 ;; esac
        number=${rest%%[,\}]*}
        number=${number#"${number%%[! ]*}"}
        number=${number%"${number##*[! ]}"}
        case $number in
            '' | 0* | *[!0-9]* | ??????????*) number=- ;;
            *) [ "$number" -gt "$3" ] || continue ;;
        esac
        writer=${text#*'"slotwright": "'}
        [ "$writer" != "$text" ] || writer=-
        writer=${writer%%\"*}
        case $writer in '' | *[!0-9A-Za-z.+-]*) writer=- ;; esac
        printf '%s %s %s\n' "$2" "$number" "$writer"
        return 0
    done
}
demand_known_format() {
    found=$(unknown_format "$1")
    [ -z "$found" ] || { printf '@newer %s\n' "$found" >&2; exit "$REFUSED"; }
}
