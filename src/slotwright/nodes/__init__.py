"""Talking to many nodes at once, through the ports: connections, views, presence of an operator."""
