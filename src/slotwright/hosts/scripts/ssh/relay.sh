# What a host's own tools make of a connection, where its SSH server forwards none.

if command -v nc >/dev/null 2>&1; then exec nc "$1" "$2"
elif command -v bash >/dev/null 2>&1; then
  exec bash -c 'exec 3<>"/dev/tcp/$0/$1" || exit 1; cat <&3 & cat >&3; kill $!' "$1" "$2"
elif command -v python3 >/dev/null 2>&1; then
  exec python3 -c 'import os, socket, sys, threading
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def back():
    while data := s.recv(65536): os.write(1, data)
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536): s.sendall(data)' "$1" "$2"
fi
exit 1
