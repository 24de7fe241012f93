# $1 pid, $2 its start, $3 the signal's name, $4 the node's folder, $5 its unit ("" for none);
# nothing happens when it is another process by now.

. ./nodes/process_in.sh
. ./trust/main_process.sh

ticks_of "$1" && [ "$boot:$ticks" = "$2" ] || exit 0
demand_main "$1" "$4" "$5"
kill "-$3" "$1"
