# $1 folder: each file below it, its size in bytes and its path.

cd "$1" 2>/dev/null || exit 0
find . -type f | sort | while IFS= read -r file; do printf '%s %s\n' "$(wc -c < "$file")" "${file#./}"; done
