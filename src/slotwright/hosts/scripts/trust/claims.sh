# Whether a process is what a node's folder says it is. program: what servers are started by, "" where unknown.

. ./trust/trust.sh
. ./trust/server_program.sh

plain() { printf '%s' "$1" | tr -c '[:print:]' '?'; }

# PID: whether it has no memory any more: it ends just now, and tells neither its program nor its folder
is_ending() { read -r size _ 2>/dev/null <"/proc/$1/statm" && [ "$size" != 0 ] && return 1 || return 0; }

# PID FOLDER: prints why the process can't be the server of the node there, nothing where it can
misfit() {
    users=$(sed -n 's/^Uid:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null)
    [ -n "$users" ] || { echo "it is gone, or can not be seen"; return 0; }
    for one in $users; do
        [ "$one" = "$server_uid" ] && continue
        echo "it runs as user $(id -un "$one" 2>/dev/null || echo "$one")"
        return 0
    done
    is_server_program "$1" || {
        echo "it runs $(plain "${exe:-a program that can not be seen}"), which is no server"
        return 0
    }
    place=$(readlink "/proc/$1/cwd" 2>/dev/null)
    [ -n "$place" ] && [ "$place" = "$(cd -P "$2" 2>/dev/null && pwd -P)" ] ||
        echo "it works in $(plain "${place:-a folder that can not be seen}")"
}

# FOLDER: every process that could be the server of the node there, whatever its files say
servers_in() {
    there=$(cd -P "$1" 2>/dev/null && pwd -P) || return 0
    # shellcheck disable=SC2012 # in /proc all names are numbers; find would read no links
    ls -l /proc/[0-9]*/cwd 2>/dev/null | while IFS= read -r line; do
        case $line in *"/cwd -> $there") ;; *) continue ;; esac
        one=${line%"/cwd -> $there"}
        one=${one##*/proc/}
        [ -n "$(misfit "$one" "$1")" ] || echo "$one"
    done
}

# FOLDER: the one server that works there, where no file says which it is; a session was made for it
server_in() {
    for one in $(servers_in "$1"); do
        stat=$(cat "/proc/$one/stat" 2>/dev/null) || continue
        # shellcheck disable=SC2086 # its words are meant
        leader=$(set -- ${stat##*) } && echo "$4")
        [ "$leader" != "$one" ] || echo "$one"
    done | { read -r only && ! read -r _ && echo "$only"; }
}

# FOLDER: waits for what a server that is gone had forked to save; refuses where one goes on
demand_idle() {
    polls=100
    while running=$(servers_in "$1") && [ -n "$running" ] && [ $polls -gt 0 ]; do
        polls=$((polls - 1))
        sleep 0.05 2>/dev/null || sleep 1
    done
    [ -z "$running" ] || { echo "pid $running" >&2; exit "$RUNS"; }
}

# PID FOLDER
demand_server() {
    reason=$(misfit "$1" "$2")
    [ -n "$reason" ] || return 0
    is_ending "$1" || refuse_process "$1" "$reason"
    exit 0
}
# PID REASON
refuse_process() {
    printf '@misfit %s %s\n' "$1" "$2" >&2
    exit "$REFUSED"
}
