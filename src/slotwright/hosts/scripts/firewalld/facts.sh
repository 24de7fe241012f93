# read_all ADDRESS ZONES prints the state of firewalld, and of other firewalls where it does not run.

. ./firewalld/bus.sh

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
