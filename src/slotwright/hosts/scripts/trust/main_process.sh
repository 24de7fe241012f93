# Which process a unit runs.

. ./trust/claims.sh

# PID FOLDER UNIT: sets main, the main process of the unit, 0 for none. What the service manager started is known by it;
# anything else must fit. A folder that was set aside has the name of another one, whose unit is not its own.
demand_main() {
    main=
    [ -z "$3" ] || case $(systemctl show -p ExecStart "$3" 2>/dev/null) in
        *"$2/server.conf"*) main=$(systemctl show -p MainPID "$3" 2>/dev/null) && main=${main#MainPID=} ;;
    esac
    if [ "${main:=0}" -eq 0 ]; then
        demand_server "$1" "$2"
    elif [ "$main" != "$1" ]; then
        refuse_process "$1" "the main process of $3 is $main"
    fi
}
