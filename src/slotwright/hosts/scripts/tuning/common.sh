# What is done is printed, a line each: did WHAT, failed WHAT.
# shellcheck disable=SC2034 # failures and nl are for whoever includes this

LC_ALL=C; export LC_ALL
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"; export PATH
umask 022
failures=0
nl='
'
did() { printf 'did %s\n' "$1"; }
failed() { printf 'failed %s\n' "$1"; failures=1; }
place() { # FILE TEXT: make the file hold the text; the text ends with a newline
    folder=${1%/*}
    if [ -f "$1" ] && [ "$(cat "$1"; echo .)" = "$2." ]; then return 1; fi
    if ! mkdir -p "$folder" || ! printf '%s' "$2" >"$1.slotwright-new" || ! mv -f "$1.slotwright-new" "$1"; then
        rm -f "$1.slotwright-new"
        failed "write $1"
        return 1
    fi
    if command -v restorecon >/dev/null; then restorecon "$1" >/dev/null 2>&1; fi
    did "write $1"
}
