# $1 the zones; stdin: lines of VERB ZONE SCOPE RULE. Does them, and prints what firewalld then has, as read.sh.

. ./firewalld/facts.sh

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
read_all "" "$1"
