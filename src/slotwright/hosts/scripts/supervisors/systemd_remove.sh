# $1 template's path, $2 rotation units' path without ending, $3 folder of overrides, $4 logrotate's file

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
