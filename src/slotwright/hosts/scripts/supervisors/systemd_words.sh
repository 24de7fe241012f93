# What the server of $1 printed itself, at its last start where systemd tells which that was (>= 232).

. ./supervisors/identify.sh

start=$(systemctl show -p InvocationID "$1" 2>/dev/null)
start=${start#InvocationID=}
journalctl -q -n 20 -o cat --no-pager "_SYSTEMD_UNIT=$1" ${start:+"_SYSTEMD_INVOCATION_ID=$start"}
