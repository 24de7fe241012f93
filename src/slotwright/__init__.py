"""slotwright: deploy, prove, watch, repair and grow real Redis and Valkey Clusters from one file."""

__version__ = "0.1.0"
