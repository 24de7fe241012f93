"""POSIX shells: where scripts run, on this machine or over SSH."""
