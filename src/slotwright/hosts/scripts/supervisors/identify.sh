# A process is known by its pid and its start: the boot's id and field 22 of stat (proc(5)).
# shellcheck disable=SC2034 # pid and changed are for whoever includes this

export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
boot=
read -r boot 2>/dev/null </proc/sys/kernel/random/boot_id
started_at() {
    line='' started='' pid=''
    read -r line 2>/dev/null <"/proc/$1/stat" || return 1
    pid=$1
    # shellcheck disable=SC2086 # its words are meant
    set -- ${line##*) }
    case ${1:-Z} in Z | X) return 1 ;; esac
    shift 19
    started=$boot:$1
}
is_process() { started_at "$1" && [ "$started" = "$2" ]; }
end_process() {
    is_process "$1" "$2" || return 0
    kill -9 "$1"
    left=100
    while is_process "$1" "$2" && [ $left -gt 0 ]; do sleep 0.05 2>/dev/null || sleep 1; left=$((left - 1)); done
    ! is_process "$1" "$2"
}
write_file() {
    if [ -e "$1" ] && [ "$(cat "$1")" = "$3" ]; then return 0; fi
    printf '%s\n' "$3" >"$1.slotwright-new" && chmod "$2" "$1.slotwright-new" && mv -f "$1.slotwright-new" "$1" &&
        changed=yes
}
