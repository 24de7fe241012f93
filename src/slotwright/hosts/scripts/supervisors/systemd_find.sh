# for each unit: its name and its process, "-" for none

. ./supervisors/identify.sh

for unit in "$@"; do
    main=$(systemctl show -p MainPID "$unit" 2>/dev/null)
    main=${main#MainPID=}
    if [ "${main:-0}" -gt 0 ] && started_at "$main"; then printf '%s\n' "$main $started"; else echo -; fi
done
