# $1 the address that nodes listen on, $2 zones that hold rules of ours already.

. ./firewalld/facts.sh

read_all "$1" "$2"
