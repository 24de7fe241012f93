"""Which old node's data is taken for each shard, and what that may lose."""
