"""Whether hosts are fit for nodes, and making them so; commands on every host."""
