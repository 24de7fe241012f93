"""The only place that prints or asks."""
