"""Hosts that nodes live on."""
