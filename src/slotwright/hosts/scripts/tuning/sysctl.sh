# FILE NAME=VALUE...: other settings of ours that the file has already stay in it.

. ./tuning/common.sh

file=$1; shift
text="# Written by slotwright preflight --fix.$nl"
if [ -f "$file" ]; then
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            ''|'#'*) continue ;;
        esac
        for pair in "$@"; do
            case $line in "${pair%%=*} ="*) line="${pair%%=*} = ${pair#*=}" ;; esac
        done
        text="$text$line$nl"
    done <"$file"
fi
for pair in "$@"; do
    case $text in *"$nl${pair%%=*} = "*) ;; *) text="$text${pair%%=*} = ${pair#*=}$nl" ;; esac
done
place "$file" "$text"
for pair in "$@"; do
    name=${pair%%=*}; value=${pair#*=}
    path=/proc/sys/$(printf '%s' "$name" | tr . /)
    old=$(cat "$path" 2>/dev/null)
    if [ "$old" != "$value" ]; then
        if (printf '%s\n' "$value" >"$path") 2>/dev/null && [ "$(cat "$path" 2>/dev/null)" = "$value" ]; then
            did "$name $old -> $value"
        else
            failed "$name could not be set to $value now; $file sets it at the next boot"
        fi
    fi
    # Files are read in the order of their names, whatever folder they are in, and sysctl.conf last (sysctl.d(5)).
    ours=${file##*/}; passed=
    for other in /etc/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf /run/sysctl.d/*.conf /etc/sysctl.conf; do
        if [ "$other" != /etc/sysctl.conf ]; then
            base=${other##*/}
            # 99-sysctl.conf is a link to sysctl.conf, which is looked at anyway.
            if [ "$base" = "$ours" ] || [ "$base" = 99-sysctl.conf ]; then continue; fi
            passed=$(printf '%s\n%s\n' "$base" "$ours" | sort | tail -n 1)
            if [ "$passed" = "$ours" ]; then continue; fi
        fi
        if [ -r "$other" ] && set_there=$(grep -E "^[[:space:]]*-?${name}[[:space:]]*=" "$other" | tail -n 1) &&
            [ -n "$set_there" ]; then
            there=$(printf '%s' "${set_there#*=}" | tr -d '[:space:]')
            if [ "$there" != "$value" ]; then printf 'overruled %s sets %s = %s\n' "$other" "$name" "$there"; fi
        fi
    done
done
exit "$failures"
