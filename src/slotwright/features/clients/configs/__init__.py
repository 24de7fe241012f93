"""Configurations for clients, made from what was observed: a table of kinds, a template each, and the times in them."""
