"""Configurations for clients, and the path that a client takes."""
