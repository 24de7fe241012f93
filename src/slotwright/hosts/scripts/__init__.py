"""POSIX shell scripts that run on hosts, each beside the parser of its output."""
