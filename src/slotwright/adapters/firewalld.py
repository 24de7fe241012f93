"""firewalld on a host: read in one run, changed in one run, and read again to see what came of it.

``firewall-cmd`` starts a Python for each call (0.3 s); ``busctl`` asks the running firewalld within 10 ms, so it is
preferred where it prints JSON (systemd >= 239), for one rule as for a hundred (15 ms a rule either way). Nothing here
reloads firewalld, starts or stops it: a reload would drop what an administrator changed at run time only.
"""

from __future__ import annotations

from collections.abc import Sequence

from slotwright.errors import HostError
from slotwright.model.firewall import FirewallFacts, FirewallPlan, FirewallRule
from slotwright.ports import Shell
from slotwright.wire.firewalld import parse_facts

_BUS = r"""
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
name=org.fedoraproject.FirewallD1
root=/org/fedoraproject/FirewallD1
ask() { busctl --json=short call "$name" "$@" 2>/dev/null; }
config_zone() { ask $root/config $name.config getZoneByName s "$1" | sed -n 's/.*"data":\["\([^"]*\)"\].*/\1/p'; }
has_bus() { busctl --json=short call org.freedesktop.DBus / org.freedesktop.DBus NameHasOwner s $name 2>/dev/null; }
find_firewalld() {
    state=absent via=none
    command -v firewall-cmd >/dev/null 2>&1 || return 0
    state=stopped
    case $(has_bus) in
    *true*) state=running via=bus ;;
    *false*) ;;
    *) if firewall-cmd --state >/dev/null 2>&1; then state=running via=cmd; fi ;;
    esac
}
"""

_READ = r"""
one() { [ -n "$3" ] && printf 'zone %s %s %s\n' "$1" "$2" "$3"; }
runtime_zone() { ask $root $name.zone getZoneSettings2 s "$1" || ask $root $name getZoneSettings s "$1"; }
permanent_zone() { ask "$1" $name.config.zone getSettings2 || ask "$1" $name.config.zone getSettings; }
service_ports() {
    for folder in /etc/firewalld/services /usr/lib/firewalld/services; do
        [ -r "$folder/$1.xml" ] || continue
        tr '>' '\n' <"$folder/$1.xml" | sed -n "s/.*<port /service $1 /p"
        return 0
    done
}
read_by_bus() {
    default=$(ask $root $name getDefaultZone | sed -n 's/.*"data":\["\([^"]*\)"\].*/\1/p')
    printf 'default %s\n' "$default"
    active=$(ask $root $name.zone getActiveZones | tr '{' '\n' | sed -n 's/^\(.*},\)\{0,1\}"\([^"]*\)":$/\2/p')
    own=
    for file in /etc/firewalld/zones/*.xml; do
        [ -e "$file" ] && file=${file##*/} && own="$own ${file%.xml}"
    done
    asked=' '
    for zone in $default $active $own $1; do
        case $asked in *" $zone "*) continue ;; esac
        asked="$asked$zone "
        settings=$(runtime_zone "$zone") && one runtime "$zone" "$settings"
        enabled="$enabled $(printf '%s' "$settings" |
            sed -n 's/.*"services":{"type":"as","data":\[\([^]]*\)\].*/\1/p' | tr -d '"' | tr ',' ' ')"
        path=$(config_zone "$zone")
        [ -n "$path" ] && settings=$(permanent_zone "$path") && one permanent "$zone" "$settings"
    done
}
read_by_command() {
    printf 'default %s\n' "$(firewall-cmd --get-default-zone)"
    zones=$(firewall-cmd --list-all-zones)
    enabled=$(printf '%s\n' "$zones" | sed -n 's/^ *services: //p')
    printf 'zones runtime\n%s\n.\nzones permanent\n%s\n.\n' "$zones" "$(firewall-cmd --permanent --list-all-zones)"
}
filters_input() {
    awk '/hook input/ { inside = 1; if (/policy drop/) found = 1; next }
        /}/ { inside = 0 } inside && NF { found = 1 } END { exit !found }'
}
other_firewall() {
    if grep -qi '^ENABLED=yes' /etc/ufw/ufw.conf 2>/dev/null; then echo ufw
    elif iptables -S INPUT 2>/dev/null | grep -qv '^-P INPUT ACCEPT$'; then echo iptables
    elif nft list ruleset 2>/dev/null | filters_input; then echo nftables
    else echo none; fi
}
read_all() {
    find_firewalld
    printf 'state %s\n' "$state"
    if [ -n "$1" ]; then
        case $1 in *:*) bits=128 ;; *) bits=32 ;; esac
        printf 'interface %s\n' "$(ip -o addr show to "$1/$bits" 2>/dev/null | awk '{ print $2; exit }')"
    fi
    enabled=
    case $via in
    bus) read_by_bus "$2" ;;
    cmd) read_by_command ;;
    *)
        printf 'other %s\n' "$(other_firewall)"
        if [ $state = stopped ] && [ -n "$2" ] && command -v firewall-offline-cmd >/dev/null 2>&1; then
            printf 'zones permanent\n%s\n.\n' "$(firewall-offline-cmd --list-all-zones 2>/dev/null)"
        fi
        ;;
    esac
    asked=' '
    for service in $enabled; do
        case $asked in *" $service "*) continue ;; esac
        asked="$asked$service "
        service_ports "$service"
    done
    echo end
}
"""

_APPLY = r"""
change() {
    case $via,$1,$3 in
    bus,add,runtime) ask_loud $root $name.zone addRichRule ssi "$2" "$4" 0 ;;
    bus,remove,runtime) ask_loud $root $name.zone removeRichRule ss "$2" "$4" ;;
    bus,add,permanent) find_path "$2" && ask_loud "$path" $name.config.zone addRichRule s "$4" ;;
    bus,remove,permanent) find_path "$2" && ask_loud "$path" $name.config.zone removeRichRule s "$4" ;;
    esac
}
find_path() {
    [ "$1" = "$path_of" ] && return 0
    path_of=$1 path=$(config_zone "$1")
    [ -n "$path" ] || { echo "there is no zone $1" >&2; path_of=; return 1; }
}
ask_loud() {
    said=$(busctl call "$name" "$@" 2>&1 >/dev/null) && return 0
    case $said in *ALREADY_ENABLED* | *NOT_ENABLED*) return 0 ;; esac
    printf '%s\n' "$said" | tail -n 1 >&2
}
one_by_one() { while read -r verb zone scope rule; do change "$verb" "$zone" "$scope" "$rule"; done; }
all_at_once() {
    zone=$1 scope=$2
    set --
    while read -r verb _ _ rule; do set -- "$@" "--$verb-rich-rule=$rule"; done
    case $state,$scope in
    running,permanent) firewall-cmd --quiet --permanent "--zone=$zone" "$@" ;;
    running,runtime) firewall-cmd --quiet "--zone=$zone" "$@" ;;
    *,permanent) firewall-offline-cmd --quiet "--zone=$zone" "$@" ;;
    esac
}
apply_scope() {
    wanted=$(printf '%s\n' "$lines" | awk -v scope="$1" '$3 == scope')
    [ -n "$wanted" ] || return 0
    if [ $via = bus ]; then
        printf '%s\n' "$wanted" | one_by_one
        return 0
    fi
    for zone in $(printf '%s\n' "$wanted" | awk '{ print $2 }' | sort -u); do
        for verb in add remove; do
            some=$(printf '%s\n' "$wanted" | awk -v zone="$zone" -v verb=$verb '$2 == zone && $1 == verb')
            [ -z "$some" ] || all_at_once "$zone" "$1" <<LINES
$some
LINES
        done
    done
}
find_firewalld
path_of=
lines=$(cat)
apply_scope permanent &
apply_scope runtime
wait
"""

_READ_SCRIPT = f'{_BUS}{_READ}read_all "$1" "$2"\n'
_APPLY_SCRIPT = f'{_BUS}{_READ}{_APPLY}read_all "" "$1"\n'


async def read_firewall(shell: Shell, address: str, zones: Sequence[str] = ()) -> FirewallFacts:
    """The facts of a host whose nodes listen on ``address``; ``zones`` are those that hold rules of ours already.

    Raises HostError; code ``firewall-unreadable`` when firewalld's answers make no sense.
    """
    result = await shell.run(_READ_SCRIPT, address, " ".join(dict.fromkeys(zones)))
    return _facts(shell, result.output, result.complaint)


async def apply_firewall(shell: Shell, plan: FirewallPlan) -> None:
    """Do what the plan says, in both scopes, and read back that it is so. Doing it twice changes nothing more.

    Raises HostError; code ``firewall-refused`` with what is missing or still there.
    """
    if plan.is_empty:
        return
    changes = (("add", plan.add), ("remove", plan.remove))
    lines = [f"{verb} {rule.zone} {rule.scope} {rule.text}" for verb, rules in changes for rule in rules]
    zones = " ".join(dict.fromkeys(rule.zone for rule in (*plan.add, *plan.remove)))
    result = await shell.run(
        _APPLY_SCRIPT, zones, stdin=("\n".join(lines) + "\n").encode(), timeout_s=30 + 0.1 * len(lines)
    )
    facts = _facts(shell, result.output, result.complaint)
    missing = tuple(rule for rule in plan.add if not facts.has(rule))
    left = tuple(rule for rule in plan.remove if facts.has(rule))
    if missing or left:
        raise _refused(shell.host, missing, left, result.complaint)


def _facts(shell: Shell, output: str, complaint: str) -> FirewallFacts:
    try:
        return parse_facts(output, shell.host)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise HostError(
            f"can't read the firewall of {shell.host}: {error}",
            code="firewall-unreadable",
            where=shell.host,
            seen=complaint.strip()[-300:],
            hint="look with `firewall-cmd --list-all-zones` there; root is needed to read it",
        ) from error


def _refused(host: str, missing: Sequence[FirewallRule], left: Sequence[FirewallRule], complaint: str) -> HostError:
    told = [f"missing: {rule}" for rule in missing] + [f"still there: {rule}" for rule in left]
    return HostError(
        f"firewalld on {host} did not take {len(told)} of the changes",
        code="firewall-refused",
        where=host,
        seen=complaint.strip()[-300:],
        left="\n".join(told[:10]),
        hint="look with `firewall-cmd --list-all-zones` there, then run the same command again",
    )
