# FILE: the unit's. It runs before every ordinary service, at each boot.

. ./tuning/common.sh

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
