"""Whether two keyspaces hold the same: batches of keys, large values in pieces, and what only one side has."""
