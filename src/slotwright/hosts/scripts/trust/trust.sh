# Whether others could have made, or can change, what is at a path. owner: the user that nodes run as, "" or unset for
# whoever runs the script. Root believes the login that it came from by sudo as well.

. ./trust/formats.sh

me=$(id -u)
believed=" 0 $me ${SUDO_UID:-$me} "
server_uid=$me
[ -z "${owner:-}" ] || server_uid=$(id -u "$owner" 2>/dev/null) || server_uid=none

# GID OWNER GROUP: whether nobody but the owner, by name, and root is in the group
is_private() {
    [ "$1" -lt 1000 ] || [ "$3" = "$2" ] || return 1
    members=$({ getent group "$1" 2>/dev/null || grep "^[^:]*:[^:]*:$1:" /etc/group; } | sed 's/.*://' | tr , ' ')
    for one in $members $(sed -n "s/^\([^:]*\):[^:]*:[^:]*:$1:.*/\1/p" /etc/passwd); do
        case $one in "$2" | root) ;; *) return 1 ;; esac
    done
}

# ENTRY UIDS last|above: prints why the entry can't be believed; nothing where it can, or where there is none
judge() {
    listed=$(ls -lnd "$1" 2>/dev/null) || return 0
    read -r mode _ uid gid _ <<EOF
$listed
EOF
    doubt=
    case $2 in *" $uid "*) ;; *) doubt=owner ;; esac
    case $doubt$3:$mode in
        last:[!l]???????w* | last:[!l]????w* | above:d???????w[!tT]* | above:d????w???[!tT]* | owner*) ;;
        *) return 0 ;;
    esac
    read -r _ _ its_owner its_group _ <<EOF
$(ls -ld "$1" 2>/dev/null)
EOF
    case $doubt$mode in
        owner*) ;;
        ????????w*) doubt=others ;;
        ??????????+*) doubt=group ;;
        *) is_private "$gid" "$its_owner" "$its_group" || doubt=group ;;
    esac
    [ -z "$doubt" ] || printf '%s %s %s %s %s\n' "$doubt" "$mode" "$its_owner" "$its_group" "$1"
}

# PATH UIDS last|above: the same for the first entry on the way to the path, links and their hops among them
distrust() (
    rest=$1 here='' links=0
    while :; do
        while [ "${rest#/}" != "$rest" ]; do rest=${rest#/}; done
        [ -n "$rest" ] || exit 0
        step=${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
        case $step in .) continue ;; ..) here=${here%/*}; continue ;; esac
        entry=$here/$step
        if [ -L "$entry" ]; then
            found=$(judge "$entry" "$believed" above)
            [ -z "$found" ] || { printf '%s\n' "$found"; exit 0; }
            links=$((links + 1))
            goal=$(readlink "$entry") && [ $links -le 40 ] || exit 0
            case $goal in /*) here='' ;; esac
            rest=$goal/$rest
            continue
        fi
        case $rest in *[!/]*) found=$(judge "$entry" "$believed" above) ;; *) found=$(judge "$entry" "$2" "$3") ;; esac
        [ -z "$found" ] || { printf '%s\n' "$found"; exit 0; }
        here=$entry
    done
)

# FOLDER: the same for a node's folder, and for what is acted upon in it
distrust_node() {
    [ "${1%/*}" = "${looked_above-}" ] || {
        looked_above=${1%/*}
        found_above=$(distrust "$looked_above" "$believed" above)
    }
    if [ -n "$found_above" ]; then printf '%s\n' "$found_above"; return 0; fi
    found=$(distrust "$1" "$believed$server_uid " last)
    if [ -n "$found" ]; then printf '%s\n' "$found"; return 0; fi
    # shellcheck disable=SC2012 # these names are our own, and find -printf is GNU's
    doubtful=$(ls -lnd "$1/$MARKER" "$1/$SERVER_CONF" "$1/$PROCESS" "$1/$PID_FILE" "$1/$NODES_CONF" 2>/dev/null |
        while read -r mode _ uid _; do
            case "$believed$server_uid " in *" $uid "*) ;; *) echo yes ;; esac
            case $mode in l*) ;; ?????w* | ????????w*) echo yes ;; esac
        done)
    [ -n "$doubtful" ] || return 0
    for one in "$1/$MARKER" "$1/$SERVER_CONF" "$1/$PROCESS" "$1/$PID_FILE" "$1/$NODES_CONF"; do
        # Root follows no link there.
        found=$(judge "$one" "$believed$server_uid " last)
        if [ -n "$found" ]; then printf '%s\n' "$found"; return 0; fi
    done
}

demand_node() {
    found=$(distrust_node "$1")
    [ -z "$found" ] || { printf '@unsafe %s\n' "$found" >&2; exit "$REFUSED"; }
    demand_known_format "$1"
}
demand_folder() {
    found=$(distrust "$1" "$believed" "${2:-last}")
    [ -z "$found" ] || { printf '@unsafe %s\n' "$found" >&2; exit "$REFUSED"; }
}
demand_program() {
    found=$(distrust "$1" "$believed" last)
    [ -z "$found" ] || { printf '@unsafe-program %s\n' "$found" >&2; exit "$REFUSED"; }
}
refuse_link() {
    [ -L "$1" ] || return 0
    read -r mode _ its_owner its_group _ <<EOF
$(ls -ld "$1")
EOF
    printf '@unsafe link %s %s %s %s\n' "$mode" "$its_owner" "$its_group" "$1" >&2
    exit "$REFUSED"
}
# FOLDER: the modules that its configuration names; what wrote it quotes a path with blanks, and no other
demand_modules() {
    sed -n 's/^ *loadmodule  *//p; s/^ *search-ext-load  *//p' "$1/$SERVER_CONF" 2>/dev/null | {
        while IFS= read -r line; do
            case $line in
                \"*) module=${line#\"} module=${module%%\"*} ;;
                \'*) module=${line#\'} module=${module%%\'*} ;;
                *) module=${line%%[ ]*} ;;
            esac
            case $module in /*) ;; *) module=$1/$module ;; esac
            demand_program "$module"
        done
    } || exit $?
}
