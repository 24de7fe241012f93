"""Make a topology file of a cluster that others made."""
