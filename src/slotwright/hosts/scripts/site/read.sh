# $1 tree, $2 data root, $3 service user, $4 the unit's file name.

tree=$1 data=$2 user=$3 unit=$4
echo "@site"
id "$user" >/dev/null 2>&1 && echo "@user"
[ -L "$tree/engine" ] && echo "@link $(readlink "$tree/engine")"
[ -f "/etc/systemd/system/$unit" ] && echo "@unit $(sha256sum < "/etc/systemd/system/$unit" | cut -d ' ' -f 1)"
for one in /etc/systemd/system/*.wants/"${unit%.service}"*.service; do
  [ -L "$one" ] && { one=${one##*@}; echo "@enabled ${one%.service}"; }
done
[ -d "$data" ] && [ -d "$tree" ] && echo "@rooms"
echo "@end"
