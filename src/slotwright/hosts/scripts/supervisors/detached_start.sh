# $1 folder, $2 user, $3 what to run as that user, $4 the server

. ./supervisors/identify.sh
. ./supervisors/by_note.sh

program=$4
[ -d "$1" ] || exit 3
[ -x "$4" ] || exit 6
demand_node "$1"
demand_program "$4"
demand_modules "$1"
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
# It is a shell for a moment longer, and no server yet.
left=100
while noted_by "$1" && ! is_server_program "$pid" && [ $left -gt 0 ]; do
    left=$((left - 1))
    sleep 0.02 2>/dev/null || sleep 1
done
if noted_by "$1"; then printf '%s\n' "$pid $started"; else echo gone; fi
