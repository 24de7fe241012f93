"""The servers' own table of commands: which arguments are keys, and which commands write."""
