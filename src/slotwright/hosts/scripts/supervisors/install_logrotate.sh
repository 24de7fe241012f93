# $1 logrotate's file; stdin: its text. Nothing is done where there is no logrotate, or its folder can't be written.

. ./supervisors/identify.sh

changed=
[ -d "${1%/*}" ] && [ -w "${1%/*}" ] || exit 0
umask 022
write_file "$1" 644 "$(cat)" || exit 1
echo "changed=$changed"
