"""The verbs start, stop and destroy."""
