# A process of ours: by the note of its start or the server's own pid file, believed only where the process itself fits.
# Where none does, "unfit" is what the note names and why not. The start of a process is field 22 of stat (proc(5)), the
# 20th after the command's closing bracket.
# shellcheck disable=SC2034 # letter, the state of the process, is for whoever includes this

. ./trust/trust.sh
. ./trust/claims.sh

boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
ticks_of() {
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # shellcheck disable=SC2086 # its words are meant
  set -- ${stat##*) }
  case $1 in Z|X) return 1;; esac
  letter=$1
  shift 19
  ticks=$1
}
plain_file() { [ -f "$1" ] && [ ! -L "$1" ]; }
noted_in() {
  plain_file "$1/$PROCESS" || return 1
  pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$1/$PROCESS" 2>/dev/null)
  since=$(sed -n 's/.*"started": *"\([^"]*\)".*/\1/p' "$1/$PROCESS" 2>/dev/null)
  [ -n "$pid" ] && ticks_of "$pid" && [ "$boot:$ticks" = "$since" ]
}
process_in() {
  unfit=
  if noted_in "$1"; then
    unfit=$(misfit "$pid" "$1")
    [ -n "$unfit" ] || return 0
    if ticks_of "$pid" && ! is_ending "$pid"; then unfit="$pid $unfit"; else unfit=; fi
  fi
  pid=
  if plain_file "$1/$PID_FILE"; then read -r pid < "$1/$PID_FILE"; fi
  case $pid in ''|*[!0-9]*) ;; *) if [ -z "$(misfit "$pid" "$1")" ] && ticks_of "$pid"; then unfit=; return 0; fi;; esac
  [ -z "$unfit" ] || return 1
  pid=$(server_in "$1")
  [ -n "$pid" ] && ticks_of "$pid"
}
