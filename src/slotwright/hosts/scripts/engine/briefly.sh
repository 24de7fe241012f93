# What runs for at most 10 s, where the host can see to that.

briefly() { if has timeout; then timeout 10 "$@"; else "$@"; fi }
