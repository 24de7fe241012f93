"""Set every node's data aside, with checksums."""
