"""Values of a migration: how far it is, what was surveyed, what is planned."""
