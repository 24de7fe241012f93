"""What the supervisors of remote hosts run there: POSIX sh, put together from parts that need no more than that.

A script that signals a process looks at its start in the same run. Root writes nothing below a service user's folder,
where that user could have put a link.
"""

from __future__ import annotations

from slotwright.wire.systemd_unit import LOG_LIMIT_BYTES, LOGS_KEPT

IDENTIFY = r"""
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
boot=
read -r boot 2>/dev/null </proc/sys/kernel/random/boot_id
started_at() {
    line='' started='' pid=''
    read -r line 2>/dev/null <"/proc/$1/stat" || return 1
    pid=$1
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
"""

RUNNING = r"""
while [ $# -ge 2 ]; do
    if is_process "$1" "$2"; then printf '%s\n' "$1 $2"; fi
    shift 2
done
"""

ROTATE = rf"""
rotate_log() {{
    [ -f "$1" ] && [ "$(wc -c <"$1")" -ge {LOG_LIMIT_BYTES} ] || return 0
    number={LOGS_KEPT}
    while [ $number -gt 1 ]; do
        [ ! -e "$1.$((number - 1))" ] || mv -f "$1.$((number - 1))" "$1.$number"
        number=$((number - 1))
    done
    mv -f "$1" "$1.1"
}}
"""

# $1 unit, $2 overrides file; stdin: its text. Root writes nothing in a folder of the service user.
SYSTEMD_START = r"""
given=$(cat)
(umask 077 && mkdir -p "${2%/*}" && printf '%s\n' "$given" >"$2") || exit 1
# A unit that failed too often before has to be forgiven first.
systemctl start "$1" 2>/dev/null || { systemctl reset-failed "$1" 2>/dev/null; systemctl start "$1"; }
status=$?
rm -f "$2"
main=$(systemctl show -p MainPID "$1")
main=${main#MainPID=}
if [ $status -ne 0 ]; then
    journalctl -q -u "$1" -n 6 -o cat --no-pager >&2 2>/dev/null
    exit 1
fi
if [ "${main:-0}" -gt 0 ] && started_at "$main"; then printf '%s\n' "$main $started"; else echo gone; fi
"""

# for each unit: its name and its process, "-" for none
SYSTEMD_FIND = r"""
for unit in "$@"; do
    main=$(systemctl show -p MainPID "$unit" 2>/dev/null)
    main=${main#MainPID=}
    if [ "${main:-0}" -gt 0 ] && started_at "$main"; then printf '%s\n' "$main $started"; else echo -; fi
done
"""

# What the server of $1 printed itself, at its last start where systemd tells which that was (>= 232).
SYSTEMD_WORDS = r"""
start=$(systemctl show -p InvocationID "$1" 2>/dev/null)
start=${start#InvocationID=}
journalctl -q -n 20 -o cat --no-pager "_SYSTEMD_UNIT=$1" ${start:+"_SYSTEMD_INVOCATION_ID=$start"}
"""

# A unit that restarts its server would do so after a plain kill: it is stopped in the same breath.
SYSTEMD_KILL = r"""
is_process "$1" "$2" || exit 0
unit=$(sed -n 's#.*/\(slotwright-[^/]*@[^/]*\.service\)\(/.*\)\{0,1\}$#\1#p' "/proc/$1/cgroup" 2>/dev/null | head -n 1)
end_process "$1" "$2"
status=$?
if [ -n "$unit" ]; then
    systemctl stop "$unit"
    systemctl reset-failed "$unit" 2>/dev/null
fi
exit $status
"""

# $1 template's path, $2 rotation units' path without ending, $3 yes or no: start at boot, then the nodes' units;
# stdin: three texts, each ended by a line of its own
SYSTEMD_INSTALL = r"""
changed=
next_text() {
    text=
    while IFS= read -r line && [ "$line" != "#--" ]; do text="$text$line
"; done
    text=${text%?}
}
umask 022
next_text; write_file "$1" 644 "$text" || exit 1
next_text; write_file "$2.service" 644 "$text" || exit 1
next_text; write_file "$2.timer" 644 "$text" || exit 1
if command -v restorecon >/dev/null 2>&1; then restorecon "$1" "$2.service" "$2.timer" 2>/dev/null; fi
timer=${2##*/}.timer
wish=$3
shift 3
# Each reload costs systemd more than all else here: it is told once, of everything.
wants=/etc/systemd/system/multi-user.target.wants
for unit in "$@"; do
    if [ "$wish" = yes ] && [ ! -L "$wants/$unit" ]; then
        systemctl -q --no-reload enable "$@" || exit 1
        changed=yes
        break
    elif [ "$wish" = no ] && [ -L "$wants/$unit" ]; then
        systemctl -q --no-reload disable "$@" || exit 1
        changed=yes
        break
    fi
done
if ! systemctl is-enabled -q "$timer" 2>/dev/null; then
    systemctl -q --no-reload enable "$timer" || exit 1
    changed=yes
fi
if [ -n "$changed" ]; then systemctl daemon-reload || exit 1; fi
systemctl is-active -q "$timer" || systemctl start "$timer" || exit 1
echo "changed=$changed"
"""

# $1 template's path, $2 rotation units' path without ending, $3 folder of overrides, $4 logrotate's file
SYSTEMD_REMOVE = r"""
name=${1##*/}
prefix=${name%.service}
timer=${2##*/}.timer
if [ -e "$2.timer" ]; then systemctl disable -q "$timer" && systemctl stop "$timer" || exit 1; fi
systemctl stop "$prefix*.service" 2>/dev/null
for link in /etc/systemd/system/*.wants/"$prefix"*.service; do
    if [ -L "$link" ]; then rm -f "$link" || exit 1; fi
done
rm -f "$1" "$2.service" "$2.timer" "$4" || exit 1
rm -rf "$3"
rmdir "${3%/*}" 2>/dev/null
systemctl daemon-reload
systemctl reset-failed "$prefix*.service" 2>/dev/null
exit 0
"""

# $1 folder, $2 user, $3 what to run as that user, $4 the server
DETACHED_START = r"""
[ -d "$1" ] || exit 3
[ -x "$4" ] || exit 6
rm -f "$1/process.json"
run() { setsid env -i PATH="$PATH" LANG=C.UTF-8 "$@" </dev/null >/dev/null 2>&1 & }
command -v setsid >/dev/null 2>&1 || run() { nohup env -i PATH="$PATH" LANG=C.UTF-8 "$@" </dev/null >/dev/null 2>&1 & }
me=$(id -u)
if [ "$me" = 0 ] && [ "$2" != root ]; then
    user=$(id -u "$2") && group=$(id -g "$2") || exit 4
    if setpriv --reuid="$user" --regid="$group" --clear-groups true 2>/dev/null; then
        run setpriv --reuid="$user" --regid="$group" --clear-groups /bin/sh -c "$3"
    elif runuser -u "$2" -- true 2>/dev/null; then
        run runuser -u "$2" -- /bin/sh -c "$3"
    else
        run su -s /bin/sh "$2" -c "$3"
    fi
else
    kills=$(busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager \
        KillUserProcesses 2>/dev/null)
    if [ "$me" != 0 ] && [ "$kills" = "b true" ]; then exit 5; fi
    run /bin/sh -c "$3"
fi
starter=$!
left=200
until [ -s "$1/process.json" ]; do
    left=$((left - 1))
    if [ $left -le 0 ] || ! kill -0 $starter 2>/dev/null; then break; fi
    sleep 0.02 2>/dev/null || sleep 1
done
[ -s "$1/process.json" ] || exit 7
if by_note "$1"; then printf '%s\n' "$pid $started"; else echo gone; fi
"""

# Run as the service user, in the folder: root would follow links there that this user may make. A process keeps its
# start when it becomes the server, so it can be noted before.
BECOME_SERVER = r"""
umask 077
rotate_log "$PWD/server.log"
started_at $$ || exit 1
printf '{"pid": %s, "started": "%s"}\n' "$$" "$started" >.process.json.tmp || exit 1
mv -f .process.json.tmp process.json || exit 1
"""

BY_NOTE = r"""
by_note() {
    noted=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$1/process.json" 2>/dev/null)
    since=$(sed -n 's/.*"started": *"\([^"]*\)".*/\1/p' "$1/process.json" 2>/dev/null)
    [ -n "$noted" ] && is_process "$noted" "$since"
}
"""

DETACHED_FIND = r"""
by_pid_file() {
    read -r noted 2>/dev/null <"$1/server.pid" || return 1
    here=$(cd "$1" 2>/dev/null && pwd -P) || return 1
    [ "$(readlink "/proc/$noted/cwd" 2>/dev/null)" = "$here" ] && started_at "$noted"
}
for folder in "$@"; do
    if by_note "$folder" || by_pid_file "$folder"; then printf '%s\n' "$pid $started"; else echo -; fi
done
"""
