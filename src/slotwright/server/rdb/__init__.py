"""Snapshots and values as servers write them: RDB files, DUMP payloads, and their checksums."""
