"""Start, stop and destroy."""
