"""Connections to servers: RESP, byte streams, and whether a port speaks TLS."""
