# Ended by the caller; the time-out is for a caller that was killed.

address=$1; shift
where=; ports=
case $address in *:*) at="[$address]";; *) at=$address;; esac
for port; do where="$where -l $at:$port"; ports="$ports $port"; done
if command -v systemd-socket-activate >/dev/null 2>&1; then
  # shellcheck disable=SC2086
  timeout 60 systemd-socket-activate -a $where /bin/true </dev/null >/dev/null 2>&1 &
  echo "@pid $!"
elif command -v python3 >/dev/null 2>&1; then
  timeout 60 python3 -c 'import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
kept = [socket.create_server((sys.argv[1], int(port)), family=family) for port in sys.argv[2:]]
time.sleep(60)' "$address" "$@" </dev/null >/dev/null 2>&1 &
  echo "@pid $!"
elif command -v perl >/dev/null 2>&1 || command -v nc >/dev/null 2>&1; then
  for port; do
    if command -v perl >/dev/null 2>&1; then
      # shellcheck disable=SC2016 # for perl
      timeout 60 perl -MIO::Socket::INET -e '
        my $socket = IO::Socket::INET->new(
          LocalAddr => $ARGV[0], LocalPort => $ARGV[1], Listen => 64, ReuseAddr => 1) or exit 1;
        sleep 60' "$address" "$port" </dev/null >/dev/null 2>&1 &
    else
      timeout 60 nc -lk -s "$address" -p "$port" </dev/null >/dev/null 2>&1 &
    fi
    echo "@pid $!"
  done
else
  echo "@none"
  exit 0
fi
tries=0
while [ "$tries" -lt 100 ]; do
  open=1
  taken=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
  for port in $ports; do
    hex=$(printf '%04X' "$port")
    # A local end with that port, nobody at the other, and listening: 0A (tcp_states.h, TCP_LISTEN).
    case $taken in *":$hex 00000000:0000 0A "*|*":$hex 00000000000000000000000000000000:0000 0A "*) ;; *) open=;; esac
  done
  [ -z "$open" ] || { echo "@ready"; exit 0; }
  tries=$((tries + 1))
  sleep 0.02 2>/dev/null || sleep 1
done
