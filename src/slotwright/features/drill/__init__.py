"""Kill or freeze a primary on purpose, and tell what clients saw."""
