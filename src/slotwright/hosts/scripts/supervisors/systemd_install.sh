# $1 template's path, $2 rotation units' path without ending, $3 yes or no: start at boot, then the nodes' units;
# stdin: three texts, each ended by a line of its own

. ./supervisors/identify.sh

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
