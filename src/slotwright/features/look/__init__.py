"""Look at a cluster and change nothing: status, check, slot, logs, list."""
