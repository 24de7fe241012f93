"""Placement, blueprint, and the difference between what is wanted and what is."""
