# `timeout` hands the signal on to what it runs.

for one; do kill "$one" 2>/dev/null; done; exit 0
