"""What a source's replication stream becomes at the target, command by command."""
