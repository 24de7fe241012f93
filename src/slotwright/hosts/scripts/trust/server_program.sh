# As is_server_program of server/programs.py, for a shell.

# PID: whether it runs a server; $program is what servers are started by. Prints nothing; sets exe.
is_server_program() {
    exe=$(readlink "/proc/$1/exe" 2>/dev/null) || return 1
    exe=${exe%" (deleted)"}
    [ -z "${program:-}" ] || [ "$exe" != "$(readlink -f "$program" 2>/dev/null)" ] || return 0
    name=${exe##*/}
    while [ "${name#.}" != "$name" ]; do name=${name#.}; done
    case $name in
        redis-server | redis-server[-.]* | valkey-server | valkey-server[-.]*) return 0 ;;
        redis-check-* | valkey-check-* | redis-sentinel | valkey-sentinel) return 0 ;;
    esac
    return 1
}
