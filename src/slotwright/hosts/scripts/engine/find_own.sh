# The path of the host's own server of the kind $1.

. ./engine/prelude.sh

if [ -x "/usr/bin/$1-server" ]; then echo "/usr/bin/$1-server"; else command -v "$1-server"; fi
