# $1 a server's program to try, "" for none; $2 ports, "" for all; then folders. Reads only.

. ./trust/trust.sh

LC_ALL=C; export LC_ALL
PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"; export PATH
exec 2>/dev/null </dev/null
nl='
'
engine=$1; ports=$2
if [ "$#" -ge 2 ]; then shift 2; fi

say() { printf '%s=%s\n' "$1" "$2"; }
tell() { # KEY TEXT: one line of output for each line of the text
    rest=$2
    while :; do
        case $rest in
            *"$nl"*) say "$1" "${rest%%"$nl"*}"; rest=${rest#*"$nl"} ;;
            *) say "$1" "$rest"; return ;;
        esac
    done
}
has() { command -v "$1" >/dev/null; }
first() { # KEY FILE: its first line
    if [ -r "$2" ] && IFS= read -r line <"$2"; then say "$1" "$line"; fi
}
now() {
    stamp=$(date +%s.%N)
    case $stamp in *[!0-9.]*|*.) stamp=$(date +%s) ;; esac
    say "$1" "$stamp"
}

say slotwright-profile 1
now time.start

# The engine: does it run here, and what does it think of this system? Beside the rest, for it takes its time.
# Root runs nothing that others could have written.
is_ours() { [ -z "$(distrust "$1" "$believed" last)" ]; }
try_engine() {
    if [ ! -f "$engine" ] || ! is_ours "$engine"; then return; fi
    say engine.there yes
    tell engine.elf "$(od -An -tx1 -N20 "$engine")"
    out=$("$engine" --version 2>&1); status=$?
    tell engine.output "$out"
    say engine.status "$status"
    case $out in
        *"Redis server v="[1-6].*) return ;;
        *" server v="*) ;;
        *) return ;;
    esac
    out=$("$engine" --check-system 2>&1); status=$?
    tell engine.check "$out"
    say engine.check.status "$status"
}
if [ -n "$engine" ]; then
    say engine.path "$engine"
    try_engine &
fi

# Who and what.
release=/etc/os-release
if [ ! -r "$release" ]; then release=/usr/lib/os-release; fi
if [ -r "$release" ]; then
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in ID=*|ID_LIKE=*|VERSION_ID=*|PRETTY_NAME=*) say os "$line" ;; esac
    done <"$release"
else
    first os.release /etc/redhat-release
    first os.debian /etc/debian_version
fi
say machine "$(uname -m)"
first kernel /proc/sys/kernel/osrelease
first hostname /proc/sys/kernel/hostname
first boot.id /proc/sys/kernel/random/boot_id
first cpus /sys/devices/system/cpu/online
page=
if [ -r /proc/self/smaps ]; then
    while read -r name value _; do
        if [ "$name" = KernelPageSize: ]; then page=$((value * 1024)); break; fi
    done </proc/self/smaps
fi
libc=
if has getconf; then
    if [ -z "$page" ]; then page=$(getconf PAGESIZE); fi
    libc=$(getconf GNU_LIBC_VERSION)
fi
say page "$page"
if [ -n "$libc" ]; then
    say libc "$libc"
else
    for loader in /lib/ld-musl-*.so.1; do
        if [ -x "$loader" ]; then tell libc.musl "$("$loader" 2>&1)"; break; fi
    done
fi
tell id "$(id)"
say login.from "$SUDO_USER"
case $(id -u) in
    0) say sudo root ;;
    *)
        if ! has sudo; then say sudo absent
        elif out=$(sudo -n true 2>&1); then say sudo free
        else
            case $out in
                *assword*) say sudo password ;;
                *) say sudo refused ;;
            esac
        fi ;;
esac
if [ -r /etc/passwd ]; then
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in slotwright:*|redis:*|valkey:*) say user "$line" ;; esac
    done </etc/passwd
fi
for tool in systemctl firewall-cmd nft iptables ufw busctl useradd adduser groupadd addgroup tar gzip xz sha256sum \
    gcc make restorecon semanage setpriv runuser su setsid systemd-socket-activate nc ss logrotate sysctl timeout \
    sudo flock apt-get dnf yum zypper apk; do
    if has "$tool"; then say tool "$tool"; fi
done

# Memory, kernel, limits.
if [ -r /proc/meminfo ]; then
    while read -r name value _; do
        case $name in MemTotal:|MemFree:|MemAvailable:|Buffers:|Cached:|SwapTotal:) say "memory.${name%:}" "$value" ;;
            SwapFree:) say memory.SwapFree "$value"; break ;;
        esac
    done </proc/meminfo
fi
# Numbers below /proc/sys come whole in one read or not at all, and a shell reads byte by byte: grep does it.
tell sysctl "$(grep -Hs . /proc/sys/vm/overcommit_memory /proc/sys/vm/swappiness /proc/sys/vm/max_map_count \
    /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/tcp_max_syn_backlog)"
first kernel.thp /sys/kernel/mm/transparent_hugepage/enabled
first kernel.thp_defrag /sys/kernel/mm/transparent_hugepage/defrag
if [ -r /proc/self/limits ]; then
    while IFS= read -r line; do
        case $line in "Max open files"*) say nofile "$line"; break ;; esac
    done </proc/self/limits
else
    # shellcheck disable=SC3045
    say nofile "Max open files $(ulimit -S -n) $(ulimit -H -n)"
fi

# Service manager, SELinux, firewall.
units='firewalld.service chronyd.service chrony.service ntpd.service ntp.service ntpsec.service'
units="$units systemd-timesyncd.service"
if [ -d /run/systemd/system ]; then
    say init systemd
    tell systemd "$(systemctl show -p Version -p DefaultLimitNOFILE)"
    # shellcheck disable=SC2086
    tell unit "$(systemctl show -p Id -p LoadState -p ActiveState $units)"
fi
if [ -e /sys/fs/selinux/enforce ]; then
    first selinux.enforce /sys/fs/selinux/enforce
elif [ -e /etc/selinux/config ]; then
    say selinux disabled
else
    say selinux absent
fi
if [ -r /etc/ufw/ufw.conf ]; then
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in ENABLED=*) say ufw "$line" ;; esac
    done </etc/ufw/ufw.conf
fi
if has nft && has awk; then
    if out=$(nft list ruleset); then
        say firewall.seen nft
        if [ -n "$out" ]; then
            tell nft.chain "$(printf '%s\n' "$out" | awk '
                $1 == "table" { table = $2 " " $3 }
                $1 == "chain" { name = $2; hooked = 0; rules = 0; policy = "accept"; inside = 1; next }
                inside && $1 == "type" {
                    if ($0 ~ / hook input /) hooked = 1
                    if ($0 ~ /policy drop/) policy = "drop"
                    next
                }
                inside && $1 == "}" { if (hooked) print table, name, policy, rules; inside = 0; next }
                inside && NF { rules++ }')"
        fi
    fi
fi
legacy=
if [ -r /proc/net/ip_tables_names ]; then
    while read -r name; do
        if [ "$name" = filter ]; then legacy=yes; fi
    done </proc/net/ip_tables_names
fi
if has iptables; then
    if ! has nft; then
        case $(readlink -f "$(command -v iptables)") in *nft*) legacy=yes ;; esac
    fi
    if [ -n "$legacy" ]; then
        if out=$(iptables -S INPUT); then say firewall.seen iptables; tell iptables "$out"; fi
    elif [ -r /proc/net/ip_tables_names ]; then
        say firewall.seen iptables
    fi
fi

# Listeners: of the ports that matter, or all.
wanted() { # LINE: does it name a port of interest?
    if [ -z "$ports" ]; then return 0; fi
    for port in $ports; do
        case $1 in *":$port "*) return 0 ;; esac
    done
    return 1
}
hexports() {
    for port in $ports; do printf '%s|' "$(printf ':%04X 0' "$port")"; done
}
if has ss && out=$(ss -ltnp) && [ -n "$out" ]; then
    rest=$out$nl
    while [ -n "$rest" ]; do
        line=${rest%%"$nl"*}; rest=${rest#*"$nl"}
        case $line in LISTEN*) if wanted "$line"; then say listen "$line"; fi ;; esac
    done
elif [ -r /proc/net/tcp ]; then
    pattern=$(hexports)
    for file in /proc/net/tcp /proc/net/tcp6; do
        if [ -r "$file" ]; then
            out=$(grep ' 0A ' "$file" | grep -E "${pattern%|}")
            if [ -n "$out" ]; then tell listen.proc "$out"; fi
        fi
    done
fi

# Folders, each at its nearest existing parent.
number=0
for path in "$@"; do
    say "room.$number.path" "$path"
    parent=$path
    while [ ! -d "$parent" ] && [ "$parent" != / ] && [ -n "$parent" ]; do
        case $parent in */*) parent=${parent%/*} ;; *) parent= ;; esac
    done
    if [ -z "$parent" ]; then parent=/; fi
    if [ "$parent" = "$path" ]; then say "room.$number.there" yes; fi
    real=$(cd -P -- "$parent" && pwd -P)
    if [ -z "$real" ]; then real=$parent; fi
    say "room.$number.existing" "$real"
    if [ -w "$real" ]; then say "room.$number.writable" yes; else say "room.$number.writable" no; fi
    if out=$(stat -f -c '%a %S %d %c' "$real"); then
        say "room.$number.stat" "$out"
    else
        tell "room.$number.df" "$(df -Pk "$real")"
    fi
    number=$((number + 1))
    eval "real_$number=\$real"
done
if [ "$number" -gt 0 ] && [ -r /proc/self/mounts ]; then
    while read -r device mount type options _; do
        count=0
        while [ "$count" -lt "$number" ]; do
            count=$((count + 1))
            eval "real=\$real_$count"
            case $real/ in
                "${mount%/}"/*) say mount "$device $mount $type $options"; break ;;
            esac
            case $mount in *\\*) say mount "$device $mount $type $options"; break ;; esac
        done
    done </proc/self/mounts
fi

for name in redis-server valkey-server; do
    found=$(command -v "$name")
    case $found in
        /*) is_ours "$found" || continue; say server.path "$found"; tell server.version "$("$found" --version 2>&1)" ;;
    esac
done
wait
now time.end
say slotwright-profile end
