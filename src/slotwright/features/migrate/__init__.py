"""Move a running server's data into a cluster, live, with proof."""
