# $1 folder, $2 an offset, negative for the end: where it really begins, the log's size, then at most 64 KiB of it.

file="$1/$SERVER_LOG"
size=0
[ -e "$file" ] && size=$(wc -c < "$file")
size=$((size))
start=$2
if [ "$start" -lt 0 ]; then start=$size; elif [ "$start" -gt "$size" ]; then start=0; fi
echo "$start $size"
[ "$start" -ge "$size" ] || tail -c "+$((start + 1))" "$file" | head -c 65536
