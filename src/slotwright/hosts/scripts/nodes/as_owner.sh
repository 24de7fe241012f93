# $1 the service user ("" for the login), $2 a script, then its arguments.
#
# Root never writes in a folder of the service user: whoever broke into a server could lay a link there.

owner=$1 script=$2
shift 2
[ -n "$owner" ] && [ "$(id -u)" = 0 ] || exec sh -c "$script" sh "$@"
uid=$(id -u "$owner") && gid=$(id -g "$owner") || exit 43
if setpriv --reuid="$uid" --regid="$gid" --clear-groups true 2>/dev/null; then
  exec setpriv --reuid="$uid" --regid="$gid" --clear-groups sh -c "$script" sh "$@"
elif runuser -u "$owner" -- true 2>/dev/null; then
  exec runuser -u "$owner" -- sh -c "$script" sh "$@"
fi
exec su -s /bin/sh "$owner" -c "$script" sh "$@"
