"""The only I/O: files, processes, connections."""
