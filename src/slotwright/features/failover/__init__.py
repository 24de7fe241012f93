"""A replica takes over on purpose, losing nothing."""
