"""The scripts that mend a host for good: POSIX sh, run as root, harmless when run again.

They print one line a deed: ``did WHAT``, ``failed WHAT``, or ``overruled FILE`` (another file of the host sets the same
thing after ours, so that it won't last). They print nothing when nothing had to be done. The exit status is 1 when
something failed. A file is written whole: beside its place, then moved there.
"""

from __future__ import annotations

DID = "did"
FAILED = "failed"
OVERRULED = "overruled"

_COMMON = r"""
LC_ALL=C; export LC_ALL
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"; export PATH
umask 022
failures=0
# shellcheck disable=SC2034
nl='
'
did() { printf 'did %s\n' "$1"; }
failed() { printf 'failed %s\n' "$1"; failures=1; }
place() { # FILE TEXT: make the file hold the text; the text ends with a newline
    folder=${1%/*}
    if [ -f "$1" ] && [ "$(cat "$1"; echo .)" = "$2." ]; then return 1; fi
    if ! mkdir -p "$folder" || ! printf '%s' "$2" >"$1.slotwright-new" || ! mv -f "$1.slotwright-new" "$1"; then
        rm -f "$1.slotwright-new"
        failed "write $1"
        return 1
    fi
    if command -v restorecon >/dev/null; then restorecon "$1" >/dev/null 2>&1; fi
    did "write $1"
}
"""

SYSCTL_SCRIPT = (
    _COMMON
    + r"""
# FILE NAME=VALUE...: other settings of ours that the file has already stay in it.
file=$1; shift
text="# Written by slotwright preflight --fix.$nl"
if [ -f "$file" ]; then
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            ''|'#'*) continue ;;
        esac
        for pair in "$@"; do
            case $line in "${pair%%=*} ="*) line="${pair%%=*} = ${pair#*=}" ;; esac
        done
        text="$text$line$nl"
    done <"$file"
fi
for pair in "$@"; do
    case $text in *"$nl${pair%%=*} = "*) ;; *) text="$text${pair%%=*} = ${pair#*=}$nl" ;; esac
done
place "$file" "$text"
for pair in "$@"; do
    name=${pair%%=*}; value=${pair#*=}
    path=/proc/sys/$(printf '%s' "$name" | tr . /)
    old=$(cat "$path" 2>/dev/null)
    if [ "$old" != "$value" ]; then
        if (printf '%s\n' "$value" >"$path") 2>/dev/null && [ "$(cat "$path" 2>/dev/null)" = "$value" ]; then
            did "$name $old -> $value"
        else
            failed "$name could not be set to $value now; $file sets it at the next boot"
        fi
    fi
    # Files are read in the order of their names, whatever folder they are in, and sysctl.conf last (sysctl.d(5)).
    ours=${file##*/}; passed=
    for other in /etc/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf /run/sysctl.d/*.conf /etc/sysctl.conf; do
        if [ "$other" != /etc/sysctl.conf ]; then
            base=${other##*/}
            # 99-sysctl.conf is a link to sysctl.conf, which is looked at anyway.
            if [ "$base" = "$ours" ] || [ "$base" = 99-sysctl.conf ]; then continue; fi
            passed=$(printf '%s\n%s\n' "$base" "$ours" | sort | tail -n 1)
            if [ "$passed" = "$ours" ]; then continue; fi
        fi
        if [ -r "$other" ] && set_there=$(grep -E "^[[:space:]]*-?${name}[[:space:]]*=" "$other" | tail -n 1) &&
            [ -n "$set_there" ]; then
            there=$(printf '%s' "${set_there#*=}" | tr -d '[:space:]')
            if [ "$there" != "$value" ]; then printf 'overruled %s sets %s = %s\n' "$other" "$name" "$there"; fi
        fi
    done
done
exit "$failures"
"""
)

THP_SCRIPT = (
    _COMMON
    + r"""
# FILE: the unit's. It runs before every ordinary service, at each boot.
unit=${1##*/}
switch=/sys/kernel/mm/transparent_hugepage/enabled
place "$1" "# Written by slotwright preflight --fix.
[Unit]
Description=Transparent huge pages only where a program asks for them (slotwright)
DefaultDependencies=no
ConditionPathExists=$switch
After=local-fs.target sysinit.target
Before=basic.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'echo madvise > $switch'

[Install]
WantedBy=basic.target
" && { systemctl daemon-reload >/dev/null 2>&1 || failed "systemctl daemon-reload"; }
if [ "$(systemctl is-enabled "$unit" 2>/dev/null)" != enabled ]; then
    if systemctl enable "$unit" >/dev/null 2>&1; then did "enable $unit"; else failed "enable $unit"; fi
fi
old=$(sed -n 's/.*\[\(.*\)\].*/\1/p' "$switch" 2>/dev/null)
if [ "$old" = always ]; then
    systemctl restart "$unit" >/dev/null 2>&1
    case $(cat "$switch" 2>/dev/null) in
        *'[always]'*) failed "transparent huge pages are still always on; see systemctl status $unit" ;;
        *) did "transparent huge pages $old -> madvise" ;;
    esac
elif ! systemctl is-active "$unit" >/dev/null 2>&1; then
    systemctl start "$unit" >/dev/null 2>&1 || failed "start $unit"
fi
exit "$failures"
"""
)

LIMITS_SCRIPT = (
    _COMMON
    + r"""
# FILE NUMBER USER...: pam_limits(8) gives them to sessions that begin from now on.
file=$1; number=$2; shift 2
if [ ! -d /etc/security ]; then
    failed "there is no /etc/security here: raise the limit of open files to $number in what starts this host"
    exit 1
fi
text="# Written by slotwright preflight --fix.$nl"
for user in "$@"; do text="$text$user soft nofile $number$nl$user hard nofile $number$nl"; done
place "$file" "$text"
exit "$failures"
"""
)
