# A folder to work in that is ours and new; those of scripts that are dead go away.
# shellcheck disable=SC2154 # root: the engine root, from whoever includes this

. ./trust/trust.sh

demand_folder "$root"
fail() { code=$1; shift; printf '%s\n' "$*" >&2; exit "$code"; }
mkdir -p "$root" || fail 40 "can't make $root"
for stale in "$root"/.work-*; do
  [ -e "$stale" ] && ! kill -0 "${stale##*-}" 2>/dev/null && rm -rf "$stale"
done
work=$root/.work-$$
trap 'rm -rf "$work"' EXIT
trap 'exit 143' HUP INT TERM PIPE
rm -rf "$work"
mkdir "$work" || fail 40 "can't make $work"
