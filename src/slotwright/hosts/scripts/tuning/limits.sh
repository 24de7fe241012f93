# FILE NUMBER USER...: pam_limits(8) gives them to sessions that begin from now on.

. ./tuning/common.sh

file=$1; number=$2; shift 2
if [ ! -d /etc/security ]; then
    failed "there is no /etc/security here: raise the limit of open files to $number in what starts this host"
    exit 1
fi
text="# Written by slotwright preflight --fix.$nl"
for user in "$@"; do text="$text$user soft nofile $number$nl$user hard nofile $number$nl"; done
place "$file" "$text"
exit "$failures"
