"""Archive, make a new cluster, bring the keys back: the last resort."""
