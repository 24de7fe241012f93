"""Prove that two servers or clusters hold the same keys."""
